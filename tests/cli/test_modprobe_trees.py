"""Random trees, wrong ones among them: our plans against those of the machine's modprobe."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lkm.cli.commands.kmod_tools.modprobe import plan_lines
from lkm.cli.main import run
from lkm.kernels.fetch import fetch_kernel
from lkm.operations.resolve import open_kmod_resolver
from lkm.tree.index_writer import pack_several, pack_value, trie
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.trees import kmod_depmod, linked_tree

NAMES = ["a", "b", "c", "dd", "d_e", "built", "inside"]
MODULE = st.sampled_from(NAMES)
FOLDER = st.sampled_from(["kernel", "updates", "missing"])
# Every module with its folder and what it needs; circles, repeats and missing files among them.
MODULES = st.dictionaries(MODULE, st.tuples(FOLDER, st.lists(MODULE, max_size=4)))
ALIAS = st.sampled_from(["x:1", "x:*", "x:[0-9]", "x:?", "a", "symbol:f", "x-y", "*"])
ASKED = st.sampled_from([*NAMES, "x:1", "x:2", "d-e", "symbol:f", "x_y", "nowhere"])
RULE = st.one_of(
    st.builds("softdep {} pre: {} post: {}".format, MODULE, MODULE, MODULE),
    st.builds("softdep {} post: {} {}".format, MODULE, MODULE, MODULE),
    st.builds("install {} /bin/true {}".format, MODULE, MODULE),
    st.builds("alias {} {}".format, ALIAS, MODULE),
    st.builds("options {} o={}".format, st.one_of(MODULE, ALIAS), MODULE),
    st.builds("blacklist {}".format, MODULE),
    st.builds("remove {} cmd".format, ASKED),
)


def _write(path: Path, entries: list[tuple[str, str]]) -> None:
    packed: dict[bytes, list[bytes]] = {}
    for number, (key, value) in enumerate(entries):
        packed.setdefault(key.encode(), []).append(pack_value(number % 3, value.encode()))
    path.write_bytes(trie({key: pack_several(values) for key, values in packed.items()}))


def _tree(
    folder: Path,
    modules: dict[str, tuple[str, list[str]]],
    aliases: list[tuple[str, str]],
    builtin: list[str],
) -> None:
    files = {name: f"{place}/{name}.ko" for name, (place, _) in modules.items()}
    folder.mkdir(parents=True)
    for file in files.values():
        if not file.startswith("missing"):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).touch()
    lines = {
        name: " ".join([f"{files[name]}:", *(files[n] for n in needs if n in files)])
        for name, (_, needs) in modules.items()
    }
    _write(folder / "modules.dep.bin", list(lines.items()))
    normal = [(key.replace("x-y", "x_y"), value) for key, value in aliases]
    _write(folder / "modules.alias.bin", [e for e in normal if not e[0].startswith("symbol:")])
    _write(folder / "modules.symbols.bin", [e for e in normal if e[0].startswith("symbol:")])
    _write(folder / "modules.builtin.bin", [(name, "") for name in builtin])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    modules=MODULES,
    aliases=st.lists(st.tuples(ALIAS, MODULE), max_size=4),
    builtin=st.lists(MODULE, max_size=2),
    rules=st.lists(RULE, max_size=4),
    asked=ASKED,
)
def test_random_trees_are_resolved_as_kmod_does(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    modules: dict[str, tuple[str, list[str]]],
    aliases: list[tuple[str, str]],
    builtin: list[str],
    rules: list[str],
    asked: str,
) -> None:
    root = tmp_path_factory.mktemp("tree")
    _tree(root / "lib/modules/1", modules, aliases, builtin)
    config = root / "x.conf"
    config.write_text("\n".join(rules))
    command = ["modprobe", "-d", str(root), "-S", "1", "-C", str(config), "-D", asked, "p=1"]
    real = subprocess.run(command, capture_output=True, check=False)
    plan = open_kmod_resolver(str(root), "1", [str(config)]).resolve(asked, "p=1")
    assert os.fsencode("".join(plan_lines(plan))) == real.stdout
    assert bool(plan.targets) == (real.returncode == 0)


def _agrees_throughout(kernel: KernelFiles, root: Path, step: int) -> None:
    folder = linked_tree(kernel, root)
    assert kmod_depmod(root, kernel.release).returncode == 0
    resolver = open_kmod_resolver(str(root), kernel.release)
    paths = [line.partition(":")[0] for line in (folder / "modules.dep").read_text().splitlines()]
    assert len(paths) > 1000
    for path in paths[::step]:
        name = Path(path).name.partition(".")[0]
        command = ["modprobe", "-d", str(root), "-S", kernel.release, "-D", name]
        real = subprocess.run(command, capture_output=True, check=True)
        assert os.fsencode("".join(plan_lines(resolver.resolve(name)))) == real.stdout


@pytest.mark.full
@pytest.mark.parametrize("series", ["5.10.", "6.12.", "7."])
def test_other_trees_are_resolved_as_kmod_does(series: str, tmp_path: Path) -> None:
    _agrees_throughout(kernel_files(series), tmp_path, 4)


@pytest.mark.full
def test_another_architectures_tree_is_resolved_as_kmod_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arm64 = fetch_kernel("arm64", architecture="arm64")
    _agrees_throughout(KernelFiles(arm64.release, arm64.root), tmp_path / "root", 4)


def test_symbols_are_shown_of_a_name(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    kernel = kernel_files()
    path = next(kernel.modules.rglob("crc16.ko"))
    for option in ("--show-exports", "--show-modversions"):
        shown = []
        for operand in (os.fspath(path), "crc16"):
            words = [
                "modprobe",
                "-d",
                os.fspath(kernel.root),
                "-S",
                kernel.release,
                option,
                operand,
            ]
            assert run(["lkm", *words]) == 0
            shown.append(capfdbinary.readouterr().out)
        assert shown[0] == shown[1] != b""
