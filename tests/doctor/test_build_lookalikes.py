"""What real builds say when they fail, told apart from failed loads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lkm.doctor.finding import Finding
from lkm.operations.log_explanation import explain_log
from tests.support.kernels import kernel_files

HEAD = '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n'


def build(folder: Path, source: str, *options: str, headers: Path | None = None) -> list[Finding]:
    """Build a module that cannot be built; return what the output shows."""
    (folder / "m.c").write_text(source)
    (folder / "Kbuild").write_text("obj-m += m.o\n")
    command = [
        "make",
        "-C",
        str(headers or kernel_files().headers),
        f"M={folder}",
        *options,
        "modules",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return [each.finding for each in explain_log(done.stdout + done.stderr)]


@pytest.mark.parametrize(
    ("source", "cause", "subject"),
    [
        (
            HEAD + "int init_module(void) { return no_such_function(); }\n",
            "api-changed",
            "no_such_function",
        ),
        pytest.param(
            HEAD + "int init_module(void) { return THIS_MODULE->no_such_member; }\n",
            "api-changed",
            "no_such_member",
            marks=pytest.mark.full,
        ),
        (
            HEAD + "int lkm_nowhere(void);\nint init_module(void) { return lkm_nowhere(); }\n",
            "modpost-undefined",
            "lkm_nowhere",
        ),
        (
            HEAD.replace("GPL", "Proprietary")
            + 'int init_module(void) { return !kobject_create_and_add("x", NULL); }\n',
            "modpost-gpl-only",
            "kobject_create_and_add",
        ),
    ],
)
def test_source_that_does_not_fit(tmp_path: Path, source: str, cause: str, subject: str) -> None:
    found = build(tmp_path, source)
    assert found[0].name == cause
    assert subject in found[0].subject
    assert found[0].fixes


def test_an_option_the_compiler_has_not(tmp_path: Path) -> None:
    found = build(tmp_path, HEAD, "KCFLAGS=-fno-such-option")
    assert (found[0].name, found[0].subject) == ("compiler-too-old", "-fno-such-option")


def test_no_headers(tmp_path: Path) -> None:
    found = build(tmp_path, HEAD, headers=Path("/lib/modules/9.9.9-none/build"))
    assert (found[0].name, found[0].subject) == ("headers-missing", "9.9.9-none")
    assert any("linux-headers-9.9.9-none" in command for command in found[0].fixes[0].commands)


def test_dkms_points_to_its_log() -> None:
    text = """\
Error! Bad return status for module build on kernel: 6.1.0-56-amd64 (x86_64)
Consult /var/lib/dkms/zfs/2.1.11/build/make.log for more information.
"""
    names = [each.finding.name for each in explain_log(text)]
    assert set(names) == {"dkms-build"}
    text = (
        "Error! The /var/lib/dkms/x/1/6.1/x86_64/dkms.conf for module x includes a "
        "BUILD_EXCLUSIVE directive which does not match this kernel/arch/config.\n"
    )
    assert [each.finding.name for each in explain_log(text)] == ["dkms-excluded"]
