"""``lkm inspect``: providers as the kernel's own build knows them, text, terminal, JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lkm.operations.inspect import inspect
from lkm.operations.providers import ProviderKind
from tests.support import modules
from tests.support.kernels import KernelFiles
from tests.support.tools import lkm


def owners(kernel: KernelFiles) -> dict[str, str]:
    """Symbol → who has it, ``vmlinux`` or a module, from the build's own Module.symvers."""
    lines = (kernel.headers / "Module.symvers").read_text().splitlines()
    rows = (line.split("\t") for line in lines)
    return {row[1]: Path(row[2]).name.replace("-", "_") for row in rows}


@pytest.mark.parametrize("name", ["nvme", "e1000e", "iwlmvm", "snd-hda-intel", "ext4", "kvm-intel"])
def test_needed_symbols_are_grouped_by_who_has_them(kernel: KernelFiles, name: str) -> None:
    found = inspect(str(next(kernel.modules.rglob(f"{name}.ko"))))
    expected: dict[str, set[str]] = {}
    known = owners(kernel)
    for provider in found.needs:
        for symbol in provider.symbols:
            expected.setdefault(known.get(symbol.name, ""), set()).add(symbol.name)
    ours = {
        "vmlinux" if p.kind is ProviderKind.KERNEL else p.name.replace("-", "_"): {
            symbol.name for symbol in p.symbols
        }
        for p in found.needs
    }
    assert ours == expected
    assert set(ours) - {"vmlinux"} == {depended.replace("-", "_") for depended in found.depends}


def test_modules_that_lie_side_by_side() -> None:
    found = inspect(str(modules.built("importer")))
    groups = {(p.kind, p.name): {s.name for s in p.symbols} for p in found.needs}
    assert groups[ProviderKind.MODULE, "exporter"] == {
        "lkm_test_value",
        "lkm_test_add",
        "lkm_test_gpl",
        "lkm_test_spaced",
        "lkm_test_spaced_gpl",
    }
    assert groups[ProviderKind.NOBODY, ""] == {"lkm_test_absent"}
    assert b"nobody (1, may be missing)" in lkm("inspect", modules.built("importer"))[1]


def test_a_symbol_nobody_has() -> None:
    text = lkm("inspect", modules.built("unknown_symbol"))[1].decode()
    assert "nobody (1)" in text
    assert "lkm_test_nowhere" in text


def test_text(kernel: KernelFiles) -> None:
    status, shown, errors = lkm(
        "inspect", "--symbols", "--sections", "--relocations", modules.built("params")
    )
    assert (status, errors) == (0, b"")
    text = shown.decode()
    assert "\x1b" not in text
    for expected in (
        "params — A parameter of every type",
        f"built for      {kernel.release} SMP preempt mod_unload modversions",
        "O: out-of-tree module",
        "a_string    string, at most 15",
        "_printk",
        ".init.text",
        "R_X86_64_PC32",
    ):
        assert expected in text, expected
    init = next(line for line in text.splitlines() if line.strip().startswith(".init.text"))
    assert init.split()[-1] == "init"


def test_names_in_a_tree_without_indexes(kernel: KernelFiles) -> None:
    """A fetched kernel is unpacked only; nobody has run depmod."""
    status, shown, _ = lkm("inspect", "snd_hda_intel", "--release", kernel.release)
    assert status == 0
    assert b"/snd-hda-intel.ko\n" in shown


def test_names_in_an_indexed_tree(kmod_root: Path, kernel: KernelFiles) -> None:
    arguments = ["--root", kmod_root, "--release", kernel.release]
    assert b"/ext4.ko\n" in lkm("inspect", "fs-ext3", *arguments)[1]
    status, _, errors = lkm("inspect", "zpool", *arguments)
    assert status == 1
    assert b"built into the kernel" in errors
    assert f"-b {kmod_root} -k {kernel.release} zpool".encode() in errors


def test_what_is_not_there() -> None:
    status, _, errors = lkm("inspect", "nosuchmodule")
    assert status == 1
    assert b"no module 'nosuchmodule'" in errors
    assert b"hint: " in errors
    assert lkm("inspect", "./nosuch.ko")[0] == 1


def test_json() -> None:
    status, shown, errors = lkm("inspect", "--json", modules.built("exporter"))
    assert (status, errors) == (0, b"")
    document: dict[str, Any] = json.loads(shown)
    assert document["schema"] == "lkm.inspect/1"
    module = document["module"]
    assert {(e["name"], e["gpl"], e["namespace"]) for e in module["offers"]} == {
        ("lkm_test_value", False, ""),
        ("lkm_test_add", False, ""),
        ("lkm_test_gpl", True, ""),
        ("lkm_test_spaced", False, "LKM_TEST"),
        ("lkm_test_spaced_gpl", True, "LKM_TEST"),
    }
    assert module["taints"] == ["O"]
    assert module["memory"]["core"] % 4096 == 0


def test_colours_in_a_terminal() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lkm", "inspect", str(modules.built("proprietary"))]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=environment):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert b"\x1b[" in shown
    assert b"not compatible with the GPL" in shown


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    data = modules.built("hello").read_bytes()
    path = tmp_path / "hello.ko"
    path.write_bytes(data.replace(b"=Says hello", b"=\x1b[31m\xe9ello"))
    shown = lkm("inspect", path)[1]
    assert b"\x1b" not in shown
    assert b"\\x1b[31m\\xe9ello" in shown
