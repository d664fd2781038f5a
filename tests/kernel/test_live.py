"""The running machine: what may be read without changing it, compared with the tools' view."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from lkm.errors import KernelError, NotFoundError
from lkm.kernel.kernel import Kernel, ParameterValue, parameter_text
from lkm.kernel.live import LiveSyscalls, run_in_child
from lkm.kernel.open import open_kernel


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(LiveSyscalls())


def test_identity(kernel: Kernel) -> None:
    assert kernel.name == "live"
    assert kernel.release == os.uname().release
    assert kernel.command_line == Path("/proc/cmdline").read_text().strip()


def test_modules_are_those_of_lsmod(kernel: Kernel) -> None:
    if not Path("/proc/modules").exists():
        assert kernel.modules() == ()
        return
    shown = subprocess.run(["kmod", "list"], capture_output=True, text=True, check=True).stdout
    assert [module.name for module in kernel.modules()] == [
        line.split()[0] for line in shown.splitlines()[1:]
    ]


def test_files(kernel: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    kernel.write_file(path, b"x" * 200_000, create=True)
    assert kernel.read_file(path) == b"x" * 200_000
    assert kernel.stat(path).size == 200_000
    assert kernel.list_directory(str(tmp_path)) == ["a"]
    kernel.make_directory(str(tmp_path / "d"))
    assert kernel.stat(str(tmp_path / "d")).is_directory
    with pytest.raises(FileNotFoundError) as caught:
        kernel.read_file(str(tmp_path / "absent"))
    assert caught.value.filename == str(tmp_path / "absent")


def test_unloading_what_is_not_there(kernel: Kernel) -> None:
    with pytest.raises(KernelError) as caught:
        kernel.unload("lkm-no-such-module")
    # ENOSYS on a kernel without modules, EPERM for an ordinary user or in a container
    assert caught.value.errno in (errno.ENOENT, errno.EPERM, errno.ENOSYS)
    assert caught.value.operation == "unloading lkm_no_such_module"


def test_absent_module(kernel: Kernel) -> None:
    with pytest.raises(NotFoundError):
        kernel.module("lkm-no-such-module")
    with pytest.raises(NotFoundError):
        kernel.set_parameter("lkm-no-such-module", "x", 1)
    assert not kernel.is_loaded("lkm-no-such-module")


def test_child_results() -> None:
    assert run_in_child(lambda: (7, 0)).result == 7
    assert run_in_child(lambda: (0, errno.ENODEV)).errno == errno.ENODEV

    def die() -> tuple[int, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0, 0

    assert run_in_child(die).signal == signal.SIGKILL


def test_parameter_text() -> None:
    assert parameter_text("as it is") == "as it is"
    given: dict[str, ParameterValue] = {
        "num": 5,
        "flag": True,
        "off": False,
        "name": "a b",
        "arr": [1, 2],
        "bare": None,
    }
    assert parameter_text(given) == 'num=5 flag=1 off=0 name="a b" arr=1,2 bare'


def test_open_kernel_live() -> None:
    with open_kernel("live") as kernel:
        assert kernel.release == os.uname().release
