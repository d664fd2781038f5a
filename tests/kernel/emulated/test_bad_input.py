"""What is no kernel for the emulated machine is refused with what to do instead."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from lkm.errors import FormatError, KernelError, LkmError, UnsupportedError, UsageError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.vmlinux.image import VmlinuxImage
from tests.support.kernels import kernel_files
from tests.support.modules import built

AARCH64 = (183).to_bytes(2, "little")
MACHINE_OFFSET = 18


@pytest.fixture(scope="module")
def vmlinux() -> bytes:
    return VmlinuxImage.open(kernel_files().vmlinuz).elf.data


@pytest.mark.parametrize("content", [b"", b"text\n" * 1000, b"\x7fELF", bytes(100_000)])
def test_what_is_not_a_kernel(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(content)
    with pytest.raises(LkmError) as caught:
        open_machine(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [1000, 20_000, 1_000_000])
def test_a_kernel_cut_short(tmp_path: Path, size: int) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(kernel_files().vmlinuz.read_bytes()[:size])
    with pytest.raises(FormatError):
        open_machine(path)


def test_a_kernel_for_another_architecture(tmp_path: Path, vmlinux: bytes) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(vmlinux[:MACHINE_OFFSET] + AARCH64 + vmlinux[MACHINE_OFFSET + 2 :])
    with pytest.raises(UnsupportedError, match="is a kernel for aarch64") as caught:
        open_machine(path)
    assert "--kernel vm" in caught.value.hint


def test_a_kernel_without_btf(tmp_path: Path, vmlinux: bytes) -> None:
    path = tmp_path / "vmlinux"
    assert b"\0.BTF\0" in vmlinux
    path.write_bytes(vmlinux.replace(b"\0.BTF\0", b"\0.XTF\0"))
    with pytest.raises(UnsupportedError, match="BTF") as caught:
        open_machine(path)
    assert "CONFIG_DEBUG_INFO_BTF" in caught.value.hint


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_machine(tmp_path / "vmlinuz")
    assert caught.value.filename == str(tmp_path / "vmlinuz")


def test_a_command_line_too_long() -> None:
    with pytest.raises(UsageError, match="2047 bytes"):
        open_machine(kernel_files().vmlinuz, command_line="x" * 3000)


def test_a_module_for_another_architecture(kernel: Kernel) -> None:
    module = built("hello").read_bytes()
    foreign = module[:MACHINE_OFFSET] + AARCH64 + module[MACHINE_OFFSET + 2 :]
    with pytest.raises(KernelError) as caught:
        kernel.load(foreign)
    assert caught.value.errno == errno.ENOEXEC
    assert any("Invalid architecture in ELF header: 183" in line for line in caught.value.log)


def test_a_module_of_another_release(kernel: Kernel) -> None:
    other = kernel_files("6.12.")
    (path,) = other.modules.rglob("nls_utf8.ko*")
    with pytest.raises(KernelError) as caught:
        kernel.load(path)
    assert caught.value.errno == errno.ENOEXEC


def test_without_unicorn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['unicorn'] = None\n"
        "from lkm.kernel.emulated import open_machine\n"
        "from lkm.errors import ToolError\n"
        "try: open_machine('vmlinuz')\n"
        "except ToolError as error: print(error, '|', error.hint)\n"
    )
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'unicorn' is not installed" in output
    assert "lkm[emulated]" in output
