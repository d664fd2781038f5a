"""What a kernel and its modules export, and who uses it: held against modules.symbols."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lkm.errors import NotFoundError
from lkm.operations.exported_symbols import exported_symbols
from lkm.operations.kept_facts import facts_of
from lkm.operations.trust import keys
from tests.support.kernels import KernelFiles


def test_symbols_of_modules_are_those_of_depmods_index(kernel: KernelFiles) -> None:
    text = (kernel.modules / "modules.symbols").read_text()
    listed = set(re.findall(r"^alias symbol:(\S+) (\S+)$", text, re.MULTILINE))
    found = exported_symbols("*", kernel.release).symbols
    of_modules = {(each.name, each.owner) for each in found if each.owner != "vmlinux"}
    assert of_modules == listed
    assert any(each.name == "_printk" and each.owner == "vmlinux" for each in found)


def test_users_of_a_symbol(kernel: KernelFiles) -> None:
    found = exported_symbols("cdrom_get_media_event", kernel.release, with_users=True)
    (symbol,) = found.symbols
    assert (symbol.owner, symbol.gpl, symbol.users) == ("cdrom", False, ("sr_mod",))
    with pytest.raises(NotFoundError, match="export nothing like"):
        exported_symbols("no_such_symbol", kernel.release)


def test_keys_built_into_a_kernel(kernel: KernelFiles) -> None:
    release, found = keys.builtin(kernel.release)
    assert keys.builtin(str(kernel.vmlinuz)) == (release, found)
    assert release == kernel.release
    assert found
    assert all(each.signs_modules for each in found)


def test_facts_of_a_tree_are_kept(
    kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {p.stem: str(p) for p in (kernel.modules / "kernel/drivers/cdrom").glob("*.ko")}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = facts_of(str(kernel.modules), paths, "", None)
    assert first[0].exports

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("lkm.operations.kept_facts.read_facts", refuse)
    assert facts_of(str(kernel.modules), paths, "", None) == first
