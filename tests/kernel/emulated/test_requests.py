"""The kernel asks for modules by running /sbin/modprobe; the resolver answers."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.kernels import kernel_files
from tests.support.trees import kmod_depmod, linked_tree

AF_INET, AF_ALG = 2, 38
SOCK_STREAM, SOCK_SEQPACKET = 1, 5
IPPROTO_SCTP = 132
LOOP_SET_FD = 0x4C00


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    files = kernel_files()
    linked_tree(files, folder)
    assert kmod_depmod(folder, files.release).returncode == 0
    return folder


@pytest.fixture
def asking(root: Path) -> Iterator[EmulatedMachine]:
    machine = open_machine(kernel_files().vmlinuz, root=root)
    yield machine
    machine.shut_down()


def asked_for(machine: EmulatedMachine) -> list[str]:
    assert all(request.argv[:3] == ("/sbin/modprobe", "-q", "--") for request in machine.requests)
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


def test_mounting_a_file_system_loads_it(asking: EmulatedMachine, root: Path) -> None:
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


def test_a_socket_loads_its_protocol_with_its_dependencies(asking: EmulatedMachine) -> None:
    descriptor = asking.socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)
    assert descriptor >= 0
    assert asked_for(asking)[:2] == ["net-pf-2-proto-132-type-1", "net-pf-2-proto-132"]
    names = [name for request in asking.requests for name, result in request.loaded if result == 0]
    assert names[-1] == "sctp"
    assert "libcrc32c" in names
    assert Kernel(asking).is_loaded("sctp")


def test_a_user_of_the_crypto_interface_loads_what_it_names(asking: EmulatedMachine) -> None:
    descriptor = asking.socket(AF_ALG, SOCK_SEQPACKET)
    assert asked_for(asking) == ["net-pf-38"]
    asking.bind(descriptor, struct.pack("<H14sII64s", AF_ALG, b"hash", 0, 0, b"michael_mic"))
    assert "algif-hash" in asked_for(asking)
    assert any(name.startswith("crypto-michael_mic") for name in asked_for(asking))
    assert {"af_alg", "algif_hash", "michael_mic"} <= {m.name for m in Kernel(asking).modules()}


def test_what_no_module_offers_is_refused(asking: EmulatedMachine) -> None:
    with pytest.raises(OSError, match="No such device"):
        asking.mount("none", "/mnt", "nosuchfs")
    assert asked_for(asking) == ["fs-nosuchfs"]
    assert asking.requests[0].loaded == []


def test_without_a_tree_modprobe_fails(machine: EmulatedMachine) -> None:
    with pytest.raises(OSError, match="No such device"):
        machine.mount("/dev/null", "/mnt", "vfat")
    assert asked_for(machine) == ["fs-vfat"]


def test_a_tree_without_indexes_is_reported_with_the_request(tmp_path: Path) -> None:
    with Kernel(open_machine(kernel_files().vmlinuz, root=tmp_path)) as kernel:
        with pytest.raises(OSError, match="No such device"):
            kernel.mount("none", "/mnt", "vfat")
        machine = kernel.syscalls
        assert isinstance(machine, EmulatedMachine)
        assert kernel_files().release in machine.requests[0].error
