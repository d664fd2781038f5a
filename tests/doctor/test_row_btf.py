"""The row that no kernel of Debian's can show: type data against another vmlinux is refused.

On a kernel of our own, built without ``CONFIG_MODULE_ALLOW_BTF_MISMATCH``.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.build import kbuild
from lkm.doctor import log
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.judge import Judgement, case_for, judge
from lkm.doctor.rules.all_rules import RULES
from lkm.doctor.target_image import read_image
from lkm.doctor.target_kernel import read_kernel
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.module.image import ModuleImage
from lkm.vmlinux.image import open_cached
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.modules import SOURCES, built
from tests.support.own_kernel import own_kernel
from tests.support.tools import lkm

pytestmark = pytest.mark.full

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE = "failed to validate module [hello] BTF: -22"


@pytest.fixture(scope="module")
def own() -> KernelFiles:
    return own_kernel()


@pytest.fixture(scope="module")
def kernel(own: KernelFiles) -> Iterator[Kernel]:
    with Kernel(open_machine(own.vmlinuz)) as opened:
        yield opened


@pytest.fixture
def mismatched(own: KernelFiles, tmp_path: Path) -> Path:
    """hello, built for the kernel, but its type data made against Debian's vmlinux by pahole."""
    path, vmlinux = tmp_path / "hello.ko", tmp_path / "vmlinux"
    shutil.copy(built("hello", own), path)
    vmlinux.write_bytes(open_cached(kernel_files().vmlinuz).elf.data)
    subprocess.run(["objcopy", "--remove-section", ".BTF", path], check=True)
    subprocess.run(["pahole", "-J", "--btf_base", vmlinux, path], check=True)
    assert ModuleImage.open(path).has_btf
    return path


def predicted(own: KernelFiles, kernel: Kernel, path: Path) -> Judgement:
    target = read_kernel(kernel, read_image(own.vmlinuz))
    return judge(case_for(str(path), path.read_bytes(), target))


def refused(kernel: Kernel, path: Path) -> KernelError:
    with pytest.raises(KernelError) as caught:
        kernel.load(path)
    return caught.value


def is_the_cause(finding: Finding) -> bool:
    return (finding.name, finding.errno) == ("btf", errno.EINVAL) and finding.message == LINE


def test_the_kernel_refuses_and_the_doctor_foresees_it(
    own: KernelFiles, kernel: Kernel, mismatched: Path
) -> None:
    judgement = predicted(own, kernel, mismatched)
    error = refused(kernel, mismatched)
    assert error.errno == errno.EINVAL
    assert LINE in error.log
    assert judgement.decisive is not None
    assert is_the_cause(judgement.decisive)
    assert [f.name for f in judgement.findings if f.severity is Severity.FATAL] == ["btf"]


def test_its_own_type_data_is_taken(own: KernelFiles, kernel: Kernel) -> None:
    path = built("hello", own)
    assert ModuleImage.open(path).has_btf
    judgement = predicted(own, kernel, path)
    assert judgement.loads
    assert "btf" in judgement.passed
    kernel.load(path)
    assert kernel.exists("/sys/kernel/btf/hello")
    kernel.unload("hello")


def test_the_log_alone_leads_to_the_cause(kernel: Kernel, mismatched: Path) -> None:
    told = log.explain("\n".join(refused(kernel, mismatched).log), RULES)
    (finding,) = [each.finding for each in told if each.finding.name == "btf"]
    assert is_the_cause(finding)
    assert all(fix.text and fix.commands for fix in finding.fixes)


def test_the_type_data_left_away(own: KernelFiles, kernel: Kernel, mismatched: Path) -> None:
    decisive = predicted(own, kernel, mismatched).decisive
    assert decisive is not None
    (command,) = decisive.fixes[1].commands
    subprocess.run(command, shell=True, check=True)
    assert predicted(own, kernel, mismatched).loads
    kernel.load(mismatched)
    kernel.unload("hello")


def test_built_again(own: KernelFiles, kernel: Kernel, mismatched: Path) -> None:
    """The fix's make, in a folder with the source; the headers are where ours are."""
    folder = mismatched.parent
    shutil.copy(SOURCES / "hello.c", folder)
    (folder / "Kbuild").write_text("obj-m := hello.o\n")
    decisive = predicted(own, kernel, mismatched).decisive
    assert decisive is not None
    command = decisive.fixes[0].commands[-1]
    installed = f"/lib/modules/{own.release}/build"
    assert installed in command
    subprocess.run(command.replace(installed, str(own.headers)), shell=True, check=True)
    kernel.load(mismatched)
    kernel.unload("hello")


@pytest.fixture
def commands(own: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the commands find the kernel among the fetched ones; return how to name it."""
    folder = tmp_path / "cache/lkm/kernels"
    folder.mkdir(parents=True)
    (folder / own.release).symlink_to(own.root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"emulated:{own.release}"


def test_the_commands_say_so(commands: str, own: KernelFiles, mismatched: Path) -> None:
    status, _, errors = lkm("insmod", "--kernel", commands, mismatched)
    said = errors.decode()
    assert status == 1
    assert f"kernel: {LINE}" in said
    assert "doctor: " in said
    assert "made against another vmlinux" in said.partition("doctor: ")[2]
    status, output, _ = lkm("try", "--kernel", commands, mismatched)
    assert status == 1
    assert "made against another vmlinux" in output.decode()
    status, output, _ = lkm("doctor", "--release", own.release, mismatched)
    assert status == 1
    assert LINE in output.decode()
    assert "objcopy --remove-section .BTF" in output.decode()


def test_any_module_source_is_tried(commands: str) -> None:
    """From source to loaded, with the headers that the kernel was laid out with."""
    status, output, errors = lkm("try", "--kernel", commands, EXAMPLES / "hello")
    assert status == 0, (output.decode(), errors.decode())


def test_building_finds_the_types(own: KernelFiles) -> None:
    """What lkm itself builds for a kernel whose vmlinux is here has types that fit."""
    (path,) = kbuild.build(SOURCES / "hello.c", os.fspath(own.headers)).modules
    assert ModuleImage.open(path).has_btf
