from __future__ import annotations

import errno
import os
import re
import stat

import pytest

from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.kernels import kernel_files
from tests.support.modules import built

KERNELS = [
    pytest.param("6.1.", "amd64", id="6.1"),
    pytest.param("6.12.", "amd64", id="6.12"),
    pytest.param("6.1.", "cloud-amd64", id="cloud", marks=pytest.mark.full),
    pytest.param("6.1.", "rt-amd64", id="rt", marks=pytest.mark.full),
    pytest.param("6.1.0-47", "amd64", id="older", marks=pytest.mark.full),
    pytest.param("5.10.", "amd64", id="5.10", marks=pytest.mark.full),
    pytest.param("7.", "amd64", id="7", marks=pytest.mark.full),
]


@pytest.mark.parametrize(("series", "flavour"), KERNELS)
def test_an_unmodified_kernel_boots_and_loads_a_module_of_its_own(
    series: str, flavour: str
) -> None:
    files = kernel_files(series, flavour)
    (module,) = files.modules.rglob("nls_utf8.ko*")
    with Kernel(open_machine(files.vmlinuz)) as kernel:
        assert kernel.release == files.release
        assert f"Linux version {files.release} " in kernel.log()[0].text
        assert kernel.taint() == 0
        assert kernel.modules() == ()
        loaded = kernel.load(module)
        assert (loaded.name, loaded.state, loaded.taints) == ("nls_utf8", "Live", "")
        kernel.unload("nls_utf8")
        assert kernel.modules() == ()
        assert not [record for record in kernel.log() if "Oops" in record.text]


def test_module_loads_logs_and_unloads(kernel: Kernel) -> None:
    with kernel.watch_log() as watch:
        kernel.load(built("hello"))
        kernel.unload("hello")
        texts = [record.text for record in watch.new_records()]
    assert texts[0] == "hello: loading out-of-tree module taints kernel."
    assert texts[-2:] == ["hello: loaded", "hello: unloaded"]
    assert kernel.taint() == 1 << 12 | 1 << 13


def test_oops_kills_the_loading_thread_and_the_machine_lives_on(kernel: Kernel) -> None:
    with pytest.raises(KernelError) as caught:
        kernel.load(built("oops"))
    assert caught.value.signal == 9
    assert any("NULL pointer dereference" in line for line in caught.value.log)
    module = kernel.module("oops")
    assert (module.state, module.refcount) == ("Loading", 1)
    with pytest.raises(KernelError) as busy:
        kernel.unload("oops")
    assert busy.value.errno == errno.EBUSY
    assert kernel.load(built("hello")).state == "Live"


def test_bug_kills_the_loading_thread_with_another_signal(kernel: Kernel) -> None:
    with pytest.raises(KernelError) as caught:
        kernel.load(built("bug"))
    assert caught.value.signal == 11
    assert any(re.match(r"kernel BUG at .*bug\.c", line) for line in caught.value.log)


def test_rewind_undoes_everything(machine: EmulatedMachine, kernel: Kernel) -> None:
    before = [record.text for record in kernel.log()]
    kernel.load(built("hello"))
    kernel.write_file("/tmp/file", b"text", create=True)
    kernel.write_file("/proc/sys/kernel/hostname", "elsewhere")
    machine.rewind()
    assert kernel.modules() == ()
    assert kernel.taint() == 0
    assert not kernel.exists("/tmp/file")
    assert kernel.read_text("/proc/sys/kernel/hostname") == "(none)\n"
    assert [record.text for record in kernel.log()] == before


def test_files(machine: EmulatedMachine) -> None:
    machine.mkdir("/tmp/folder", 0o750)
    descriptor = machine.open("/tmp/folder/file", os.O_RDWR | os.O_CREAT, 0o640)
    content = bytes(range(256)) * 40
    assert machine.write(descriptor, content) == len(content)
    assert machine.lseek(descriptor, 5) == 5
    assert machine.read(descriptor) == content[5:]
    machine.close(descriptor)
    status = machine.stat("/tmp/folder/file")
    assert (stat.filemode(status.mode), status.size) == ("-rw-r-----", len(content))
    assert machine.stat("/tmp/folder").is_directory
    assert machine.readdir("/tmp/folder") == ["file"]
    machine.unlink("/tmp/folder/file")
    assert machine.readdir("/tmp/folder") == []
    assert machine.stat("/dev/null").rdev == (1, 3)
    assert machine.readlink("/proc/self") == "1"
    assert machine.stat("/proc/self", follow=False).mode & 0o170000 == stat.S_IFLNK


def test_errors_carry_the_kernels_errno_and_the_path(machine: EmulatedMachine) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        machine.open("/nowhere")
    assert missing.value.filename == "/nowhere"
    with pytest.raises(NotADirectoryError):
        machine.readdir("/proc/version")
    with pytest.raises(OSError, match="file descriptor") as closed:
        machine.close(77)
    assert closed.value.errno == errno.EBADF


def test_mount_and_unmount(machine: EmulatedMachine) -> None:
    machine.mount("none", "/mnt", "tmpfs", 0, "size=64k")
    descriptor = machine.open("/mnt/file", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space") as full:
        for _ in range(100):
            machine.write(descriptor, bytes(4096))
    assert full.value.errno == errno.ENOSPC
    machine.close(descriptor)
    machine.umount("/mnt")
    assert machine.readdir("/mnt") == []


def test_large_module_goes_through_memory_of_its_own(kernel: Kernel) -> None:
    files = kernel_files()
    (module,) = files.modules.rglob("xfs.ko*")
    assert module.stat().st_size > 2 << 20
    with pytest.raises(KernelError) as caught:
        kernel.load(module)
    assert caught.value.errno == errno.ENOENT
    assert any("Unknown symbol" in line for line in caught.value.log)


def test_two_machines_do_not_see_each_other(kernel: Kernel) -> None:
    with Kernel(open_machine(kernel_files().vmlinuz)) as other:
        other.load(built("hello"))
        assert other.is_loaded("hello")
        assert not kernel.is_loaded("hello")


def test_rewinding_leaves_nothing_translated_of_another_modules_text(
    machine: EmulatedMachine,
) -> None:
    results = {"init_fails": (errno.ENODEV, 0), "oops": (0, 9), "bug": (0, 11)}
    kernel = Kernel(machine)
    for name in (*results, *results):
        machine.rewind()
        with pytest.raises(KernelError) as caught:
            kernel.load(built(name))
        assert (caught.value.errno, caught.value.signal) == results[name]
        assert kernel.load(built("hello")).state == "Live"
