"""Building modules: a file, a folder, errors, what did not change."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest

from lkm.build import kbuild, kept_builds
from lkm.errors import BuildError, NotFoundError, ToolError, UnsupportedError, UsageError
from lkm.module.image import ModuleImage
from tests.support.kernels import KernelFiles, kernel_files

SOURCE = """#include <linux/module.h>
#include "greeting.h"
static int __init start(void) { pr_info(GREETING "\\n"); return 0; }
static void __exit stop(void) { }
module_init(start); module_exit(stop); MODULE_LICENSE("GPL");
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: KernelFiles) -> None:
    assert kernel.headers.is_absolute()  # found before the cache moves
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LANG", "C")  # gcc's quotation marks follow it; kbuild unsets LC_ALL
    monkeypatch.delenv("LC_CTYPE", raising=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder of mine"
    folder.mkdir()
    (folder / "greeter.c").write_text(SOURCE)
    (folder / "greeting.h").write_text('#define GREETING "hello"\n')
    return folder / "greeter.c"


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.full
@pytest.mark.parametrize("series", ["5.10.", "7."])
def test_a_kernel_whose_compiler_is_not_here(
    source: Path, series: str, monkeypatch: pytest.MonkeyPatch, kernel: KernelFiles
) -> None:
    with monkeypatch.context() as here:
        here.setenv("XDG_CACHE_HOME", str(kernel.root.parents[2]))
        other = kernel_files(series)
    done = kbuild.build(source, other.headers)
    (module,) = done.modules
    image = ModuleImage.open(module)
    assert image.vermagic is not None
    assert image.vermagic.release == other.release
    named = re.match(r"the kernel's compiler (\S+) is not here: built with gcc\n", done.output)
    compiler = {"5.10.": "gcc-10", "7.": "x86_64-linux-gnu-gcc-14"}[series]
    assert (named[1] if named else None) == (None if shutil.which(compiler) else compiler)


def test_one_file_and_only_what_changed(source: Path, kernel: KernelFiles) -> None:
    before = _tree(source.parent)
    first = kbuild.build(source, kernel.headers)
    (module,) = first.modules
    image = ModuleImage.open(module)
    assert image.name == "greeter"
    assert image.vermagic is not None
    assert image.vermagic.release == kernel.release
    assert first.seconds > 0
    assert _tree(source.parent) == before, "the user's folder was written to"

    again = kbuild.build(source, kernel.headers)
    assert (again.modules, again.seconds) == (first.modules, 0)

    (source.parent / "greeting.h").write_text('#define GREETING "good morning"\n')
    third = kbuild.build(source, kernel.headers)
    assert third.seconds > 0

    (source.parent / "greeting.h").write_text('#define GREETING "hello"\n')
    back = kbuild.build(source, kernel.headers)
    assert (back.modules, back.seconds) == (first.modules, 0), "contents count, not times"
    assert b"good morning" in third.modules[0].read_bytes()


def test_errors_are_the_compilers_with_the_users_paths(source: Path, kernel: KernelFiles) -> None:
    source.write_text(SOURCE.replace("return 0;", "return nought;"))
    with pytest.raises(ToolError) as caught:
        kbuild.build(source, kernel.headers)
    assert f"{source}:3:" in caught.value.output
    assert "'nought' undeclared" in caught.value.output
    assert "cache" not in caught.value.output.replace(str(source.parent), "")
    assert caught.value.command[0] == "make"

    source.write_text(SOURCE)
    assert kbuild.build(source, kernel.headers).modules


def test_error_in_a_header_of_ones_own(source: Path, kernel: KernelFiles) -> None:
    header = source.parent / "greeting.h"
    header.write_text("#error no greeting today\n")
    with pytest.raises(ToolError) as caught:
        kbuild.build(source, kernel.headers)
    assert f"{header}:1:2: error: #error no greeting today" in caught.value.output


def test_warnings_are_kept(source: Path, kernel: KernelFiles) -> None:
    source.write_text(SOURCE.replace("return 0;", "int unused; return 0;"))
    for _ in range(2):
        assert "unused variable 'unused'" in kbuild.build(source, kernel.headers).output


def test_folder_with_a_makefile(source: Path, kernel: KernelFiles) -> None:
    folder = source.parent
    (folder / "sub").mkdir()
    (folder / "sub/other.c").write_text(SOURCE.replace("greeting.h", "../greeting.h"))
    (folder / "Makefile").write_text(
        "obj-m := both.o greeter2.o\nboth-y := greeter.o\n"
        "all:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD) modules\n"
    )
    shutil.copy(source, folder / "greeter2.c")
    (folder / "stale.o").write_bytes(b"an object file of another kernel")
    before = _tree(folder)
    built = kbuild.build(folder, kernel.headers)
    assert [path.name for path in built.modules] == ["both.ko", "greeter2.ko"]
    assert _tree(folder) == before
    assert kbuild.build(folder, kernel.headers).seconds == 0

    os.unlink(folder / "greeter2.c")
    with pytest.raises(BuildError, match="there is no greeter2"):
        kbuild.build(folder, kernel.headers)


def test_wrong_use(tmp_path: Path, kernel: KernelFiles) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        kbuild.build(tmp_path / "none.c", kernel.headers)
    with pytest.raises(NotFoundError, match="neither a Kbuild nor a Makefile"):
        kbuild.build(tmp_path, kernel.headers)
    (tmp_path / "a b.c").write_text("")
    with pytest.raises(UsageError):
        kbuild.build(tmp_path / "a b.c", kernel.headers)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "Kbuild").write_text("# nothing\n")
    with pytest.raises(UsageError, match="builds no module"):
        kbuild.build(empty, kernel.headers)


def test_tools_that_are_missing(
    source: Path, kernel: KernelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="make is not installed"):
        kbuild.build(source, kernel.headers)


def test_cache_whose_name_kbuild_cannot_take(
    source: Path, kernel: KernelFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "with space"))
    with pytest.raises(UnsupportedError, match="kbuild cannot work in"):
        kbuild.build(source, kernel.headers)


def test_damaged_stamp_means_building_anew(
    source: Path, kernel: KernelFiles, tmp_path: Path
) -> None:
    kbuild.build(source, kernel.headers)
    (stamp,) = (tmp_path / "cache").rglob(".lkm-inputs")
    stamp.write_bytes(stamp.read_bytes()[:30])
    assert kbuild.build(source, kernel.headers).seconds > 0


def test_builds_kept_are_bounded(
    source: Path, kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_builds, "_KEEP", 2)
    cache = tmp_path / "cache/lkm/build"
    for age, name in ((7200, "older"), (5400, "old"), (60, "new")):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (time.time() - age,) * 2)
    kbuild.build(source, kernel.headers)
    names = {path.name for path in cache.iterdir() if path.is_dir()}
    assert names >= {"new"}
    assert not names & {"older", "old"}
