"""The kernel asks for modules by executing modprobe; our resolver answers, on both machines."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lkm.errors import KernelError, LkmError
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.guest.interface import MODPROBE_PROGRAM
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.providers import from_tree
from lkm.kernel.requests import Insertion, RequestDesk, RequestLimits
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.trees import kmod_depmod, linked_tree

AF_INET, AF_ALG = 2, 38
SOCK_STREAM, SOCK_SEQPACKET = 1, 5
IPPROTO_SCTP = 132
LOOP_SET_FD = 0x4C00

Machine = VirtualMachine | EmulatedMachine


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    files = kernel_files()
    linked_tree(files, folder)
    assert kmod_depmod(folder, files.release).returncode == 0
    return folder


@pytest.fixture(params=["vm", "emulated"])
def fresh(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with open_kernel(f"{request.param}:{kernel_files().release}") as kernel:
        assert isinstance(kernel.syscalls, Machine)
        if not kernel.exists("/mnt"):
            kernel.make_directory("/mnt")
        yield kernel.syscalls


@pytest.fixture
def asking(fresh: Machine, root: Path) -> Machine:
    fresh.answer_requests(from_tree(root, kernel_files().release))
    return fresh


def asked_for(machine: Machine) -> list[str]:
    for request in machine.requests:
        assert request.argv[0].endswith("/modprobe")
        assert request.argv[1:3] == ("-q", "--")
    return [request.argv[3] for request in machine.requests]


def fat_image() -> bytes:
    """A FAT12 file system of 1 MiB with an empty root directory."""
    image = bytearray(1 << 20)
    image[0:11] = b"\xeb\x3c\x90LKM TEST"
    parameters = (512, 4, 1, 2, 512, 2048, 0xF8, 8, 32, 64, 0, 0)
    struct.pack_into("<HBHBHHBHHHII", image, 11, *parameters)
    image[36:39] = b"\x80\0\x29"
    image[510:512] = b"\x55\xaa"
    for table in (512, 9 * 512):
        image[table : table + 3] = b"\xf8\xff\xff"
    return bytes(image)


def test_mounting_a_file_system_loads_it(asking: Machine) -> None:
    kernel = Kernel(asking)
    kernel.load(next(kernel_files().modules.rglob("loop.ko")))
    kernel.write_file("/tmp/disk", fat_image(), create=True)
    disk, loop = asking.open("/tmp/disk", os.O_RDWR), asking.open("/dev/loop0", os.O_RDWR)
    asking.ioctl(loop, LOOP_SET_FD, disk)
    kernel.mount("/dev/loop0", "/mnt", "vfat")
    assert asked_for(asking)[0] == "fs-vfat"
    loaded = {module.name: module for module in kernel.modules()}
    assert {"fat", "vfat"} <= set(loaded)
    assert loaded["fat"].holders == ("vfat",)
    assert any(name.startswith("nls_") for name in asked_for(asking))
    kernel.write_file("/mnt/hello.txt", b"hello\n", create=True)
    assert kernel.list_directory("/mnt") == ["hello.txt"]
    assert kernel.read_file("/mnt/hello.txt") == b"hello\n"


def test_a_socket_loads_its_protocol_with_its_dependencies(asking: Machine) -> None:
    descriptor = asking.socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)
    assert descriptor >= 0
    assert asked_for(asking)[:2] == ["net-pf-2-proto-132-type-1", "net-pf-2-proto-132"]
    names = [name for request in asking.requests for name, result in request.loaded if result == 0]
    assert names[-1] == "sctp"
    assert "libcrc32c" in names
    assert Kernel(asking).is_loaded("sctp")


def test_a_user_of_the_crypto_interface_loads_what_it_names(asking: Machine) -> None:
    descriptor = asking.socket(AF_ALG, SOCK_SEQPACKET)
    assert asked_for(asking) == ["net-pf-38"]
    asking.bind(descriptor, struct.pack("<H14sII64s", AF_ALG, b"hash", 0, 0, b"michael_mic"))
    assert "algif-hash" in asked_for(asking)
    assert any(name.startswith("crypto-michael_mic") for name in asked_for(asking))
    assert {"af_alg", "algif_hash", "michael_mic"} <= {m.name for m in Kernel(asking).modules()}


def test_the_kernel_s_own_tree_answers_when_nothing_else_was_said(fresh: Machine) -> None:
    assert fresh.socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) >= 0
    assert Kernel(fresh).is_loaded("sctp")


def test_loading_what_was_asked_for_makes_the_kernel_ask_again(fresh: Machine, root: Path) -> None:
    answer = from_tree(root, kernel_files().release)
    (path,) = kernel_files().modules.rglob("libcrc32c.ko")

    def provider(name: str) -> Sequence[Insertion]:
        return [Insertion("libcrc32c", path.read_bytes())] if name == "fs-it" else answer(name)

    fresh.answer_requests(provider)
    with pytest.raises(OSError, match="No such device"):
        fresh.mount("none", "/mnt", "it")
    assert asked_for(fresh)[:2] == ["fs-it", "crypto-crc32c"]
    assert fresh.requests[0].loaded == [("libcrc32c", 0)]
    assert Kernel(fresh).is_loaded("libcrc32c")


def test_one_of_several_that_an_alias_stands_for_may_fail(fresh: Machine) -> None:
    (good,) = kernel_files().modules.rglob("crc16.ko")
    (bad,) = kernel_files().modules.rglob("mbcache.ko")
    broken = bad.read_bytes()[:-2000]

    def provider(_name: str) -> Sequence[Insertion]:
        return [
            Insertion("broken", broken, target="first"),
            Insertion("mbcache", bad.read_bytes(), target="first"),
            Insertion("crc16", good.read_bytes(), target="second"),
        ]

    fresh.answer_requests(provider)
    with pytest.raises(OSError, match="No such device"):
        fresh.mount("none", "/mnt", "it")
    (request,) = fresh.requests
    assert [name for name, _ in request.loaded] == ["broken", "crc16"]
    assert request.loaded[0][1] < 0
    assert request.loaded[1][1] == 0
    assert not Kernel(fresh).is_loaded("mbcache")


def test_what_no_module_offers_is_refused(asking: Machine) -> None:
    with pytest.raises(OSError, match="No such device"):
        asking.mount("none", "/mnt", "nosuchfs")
    assert asked_for(asking) == ["fs-nosuchfs"]
    assert asking.requests[0].loaded == []


def test_without_a_tree_modprobe_fails(fresh: Machine) -> None:
    fresh.answer_requests(None)
    with pytest.raises(OSError, match="No such device"):
        fresh.mount("/dev/null", "/mnt", "vfat")
    assert asked_for(fresh) == ["fs-vfat"]


def test_a_tree_without_indexes_is_reported_with_the_request(
    fresh: Machine, tmp_path: Path
) -> None:
    fresh.answer_requests(from_tree(tmp_path, kernel_files().release))
    with pytest.raises(OSError, match="No such device"):
        fresh.mount("none", "/mnt", "vfat")
    assert kernel_files().release in fresh.requests[0].error


@pytest.fixture
def virtual() -> Iterator[VirtualMachine]:
    with open_kernel(f"vm:{kernel_files().release}") as kernel:
        yield virtual_machine(kernel.syscalls)


def test_requests_at_the_same_time(virtual: VirtualMachine) -> None:
    names = ["vfat", "isofs", "udf", "minix", "no_such_module"]
    handles = [virtual.spawn(MODPROBE_PROGRAM, "-q", "--", name) for name in names]
    statuses = []
    for handle in handles:
        status = None
        while status is None:
            status = virtual.exchange(handle, None)[2]
        statuses.append(status)
    assert statuses == [0, 0, 0, 0, 1]
    assert set(names[:4]) <= {module.name for module in Kernel(virtual).modules()}
    assert sorted(asked_for(virtual)[:5]) == sorted(names)


def test_a_modprobe_of_the_guest_goes_first(virtual: VirtualMachine) -> None:
    script = (
        f"#!{guest.interpreter()} -ISB\nimport sys\nopen('/tmp/asked', 'w').write(sys.argv[3])\n"
    )
    virtual.put("/sbin/modprobe", script.encode(), 0o755)
    with pytest.raises(OSError, match="No such device"):
        virtual.mount("none", "/tmp", "vfat")
    assert virtual.read_file("/tmp/asked") == b"fs-vfat"
    assert virtual.requests == ()


PATHS = ["/etc/shadow", "/dev/zero", "./secret.ko", "../../etc/shadow", "/proc/self/mem"]


@pytest.mark.parametrize("path", PATHS)
def test_a_kernel_that_asks_for_a_path_is_given_nothing(asking: Machine, path: str) -> None:
    with pytest.raises(KernelError) as caught:
        Kernel(asking).load(built("requester"), {"name": path})
    assert caught.value.errno == errno.ENOENT
    (request,) = asking.requests
    assert request.name == path
    assert request.loaded == []
    assert "path" in request.error


def test_a_flood_of_requests_is_cut_short(fresh: Machine) -> None:
    asked: list[str] = []

    def provider(name: str) -> Sequence[Insertion]:
        asked.append(name)
        return ()

    fresh.answer_requests(provider)
    desk = fresh.desk
    desk.limits = RequestLimits(requests=20)
    with pytest.raises(KernelError):
        Kernel(fresh).load(built("requester"), {"name": "something", "times": 60})
    assert len(asked) == len(fresh.requests) == 20
    assert desk.ignored == 40


@pytest.mark.parametrize(
    ("limits", "words"),
    [(RequestLimits(modules=2), "2 modules"), (RequestLimits(size=1000), "1000 bytes")],
)
def test_what_is_handed_out_is_limited(limits: RequestLimits, words: str) -> None:
    desk = RequestDesk(limits)
    desk.provider = lambda name: [Insertion(name, b"\x7fELF" * 100)]
    answers = [desk.answer(desk.take(["modprobe", "-q", "--", "x"])) for _ in range(5)]
    assert [len(answer) for answer in answers][-1] == 0
    assert words in desk.requests[-1].error


def test_only_modules_of_the_tree_are_read(tmp_path: Path) -> None:
    modules = tmp_path / "lib/modules/1"
    modules.mkdir(parents=True)
    (modules / "text.ko").write_text("root:x:0:0\n")
    (modules / "zero.ko").symlink_to("/dev/zero")
    os.mkfifo(modules / "pipe.ko")
    outside = tmp_path / "outside.ko"
    outside.write_bytes(b"\x7fELF")
    lines = ["text.ko:", "zero.ko:", "pipe.ko:", f"{outside}:", "../../../outside2.ko:"]
    (modules / "modules.dep").write_text("".join(f"{line}\n" for line in lines))
    answer = from_tree(tmp_path, "1")
    for name in ("text", "zero", "pipe", "outside", "outside2"):
        with pytest.raises((LkmError, OSError)):
            answer(name)
    assert answer("absent") == ()
