"""What can be tried: source, a folder of it (`--module`), a file, a name of the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.errors import FormatError, NotFoundError, ToolError, UsageError
from lkm.operations.trial import events
from lkm.operations.trial.observation import Registration
from lkm.operations.trial.request import Action
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.trying import attempt

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_compile_errors_are_the_compilers(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int x = nothing;\n")
    with pytest.raises(ToolError) as caught:
        attempt(source)
    assert f"{source}:1:9: error:" in caught.value.output


def test_a_folder_of_several_modules(tmp_path: Path) -> None:
    text = (EXAMPLES / "broken/broken.c").read_text()
    for name in ("one", "two"):
        (tmp_path / f"{name}.c").write_text(text.replace("broken", name))
    (tmp_path / "Kbuild").write_text("obj-m := one.o two.o\n")
    told = attempt(tmp_path)
    assert [event.module for event in told.all(events.TurnBegun)] == ["one", "two"]
    assert [event.module for event in told.all(events.Loaded)] == ["one", "two"]
    with pytest.raises(UsageError, match="2 modules") as caught:
        attempt(tmp_path, actions=(Action("read", "/proc/modules"),))
    assert caught.value.hint == "choose one: --module two"
    assert attempt(tmp_path, select="one").one(events.Loaded).module == "one"
    with pytest.raises(NotFoundError):
        attempt(tmp_path, select="three")


def test_files_that_are_no_module(tmp_path: Path) -> None:
    whole = built("hello").read_bytes()
    for name, content in (("cut", whole[:3000]), ("empty", b""), ("text", b"no module")):
        path = tmp_path / f"{name}.ko"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=f"{name}.ko"):
            attempt(path)
    (tmp_path / "folder.ko").mkdir()
    with pytest.raises(NotFoundError, match="neither a Kbuild nor a Makefile"):
        attempt(tmp_path / "folder.ko")
    other = tmp_path / "other.ko"
    other.write_bytes(whole[:18] + b"\xb7\0" + whole[20:])  # e_machine: EM_AARCH64
    refused = attempt(other).one(events.Refused)
    assert refused.error == "ENOEXEC (Exec format error)"
    assert any("another processor" in cause for cause in refused.causes)


def test_no_such_thing() -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        attempt("nothing.ko")
    with pytest.raises(NotFoundError, match="no module 'nothing'"):
        attempt("nothing")


def test_name_with_dependencies(where: str) -> None:
    told = attempt("vfat", kernel=where)
    needed = told.one(events.DependencyLoaded)
    assert (needed.module, needed.reason, needed.error) == ("fat", "vfat needs it", "")
    assert told.one(events.Loaded).module == "vfat"
    bound = {event.provider: event.symbols for event in told.all(events.Bound)}
    assert "fat_attach" in bound["fat"]
    assert set(bound) == {"fat", "vmlinux"}
    appeared = told.one(events.Appeared)
    assert Registration("file system", "vfat") in appeared.registrations
    assert told.one(events.LeftBehind) == events.LeftBehind((), ())


def test_alias_and_file_of_the_tree(kernel: KernelFiles) -> None:
    told = attempt("fs-vfat", kernel=f"emulated:{kernel.release}")
    assert told.one(events.Loaded).module == "vfat"
    told = attempt(kernel.modules / "kernel/fs/fat/vfat.ko")
    assert told.one(events.DependencyLoaded).module == "fat"
    assert told.one(events.KernelChosen).reason == "the module was built for it"


def test_file_whose_dependency_lies_beside_it(kernel: KernelFiles) -> None:
    told = attempt(built("importer"), kernel=f"emulated:{kernel.release}")
    needed = told.one(events.DependencyLoaded)
    assert needed.reason == "importer needs it; it lies beside it"
    assert needed.module in [event.provider for event in told.all(events.Bound)]


def test_what_is_built_in(kernel: KernelFiles) -> None:
    builtin = (kernel.modules / "modules.builtin").read_text().split()[-1]
    with pytest.raises(UsageError, match="built into the kernel"):
        attempt(Path(builtin).stem, kernel=f"emulated:{kernel.release}")
