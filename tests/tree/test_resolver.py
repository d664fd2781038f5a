"""Bad input, and what plans say of themselves; agreement with kmod is in tests/cli."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lkm.errors import NotFoundError
from lkm.tree.config import Config, Rule
from lkm.tree.config_files import Source
from lkm.tree.indexes import Indexes
from lkm.tree.plan import Reason, StepKind
from lkm.tree.resolver import Resolver
from lkm.tree.root import find_root
from tests.support.kernels import KernelFiles
from tests.support.text_tree import text_tree


def loads(resolver: Resolver, name: str) -> list[str]:
    return [step.module for step in resolver.resolve(name).steps]


DEPENDENCIES = "kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko: kernel/c.ko\nkernel/c.ko:\n"


def test_a_tree_without_tries_is_resolved_from_its_texts_and_says_so(tmp_path: Path) -> None:
    resolver = text_tree(
        tmp_path, DEPENDENCIES, alias="alias pci:v1* b\n", builtin="kernel/inside.ko\n"
    )
    plan = resolver.resolve("a")
    assert [step.module for step in plan.steps] == ["c", "b", "a"]
    assert any("modules.dep.bin" in problem for problem in plan.problems)
    assert loads(resolver, "pci:v1d2") == ["c", "b"]
    assert [step.kind for step in resolver.resolve("inside").steps] == [StepKind.BUILTIN]


@pytest.mark.parametrize("keep", [0, 3, 12, 40, 5000])
def test_a_truncated_trie_gives_way_to_the_text(tmp_path: Path, kmod_tree: Path, keep: int) -> None:
    for name in ("modules.dep", "modules.alias"):
        (tmp_path / name).write_bytes((kmod_tree / name).read_bytes())
        whole = (kmod_tree / f"{name}.bin").read_bytes()
        (tmp_path / f"{name}.bin").write_bytes(whole[:keep])
    damaged, intact = Indexes(tmp_path), Indexes(kmod_tree)
    for module in ("ext4", "snd_hda_intel", "zram", "nowhere"):
        assert damaged.dependency_line(module) == intact.dependency_line(module)
    for alias in ("pci:v00008086d00001572sv1sd2bc3sc4i5", "fs-ext4", "nothing:x"):
        assert damaged.aliases(alias) == intact.aliases(alias)
    for name in ("modules.dep", "modules.alias"):
        (problem,) = (p for p in damaged.problems if p.startswith(f"{tmp_path / name}.bin"))
        assert f"; {tmp_path / name} was read instead" in problem


def test_an_index_that_cannot_be_read_gives_way_to_the_text(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, DEPENDENCIES)
    (tmp_path / "lib/modules/1/modules.dep.bin").mkdir()
    plan = resolver.resolve("a")
    assert [step.module for step in plan.steps] == ["c", "b", "a"]
    assert any("modules.dep.bin" in problem for problem in plan.problems)


def test_a_dependency_without_a_file_leaves_the_module_alone_and_is_told(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "kernel/a.ko: kernel/missing.ko\n")
    plan = resolver.resolve("a")
    assert [step.module for step in plan.steps] == ["a"]
    assert "kernel/missing.ko does not exist" in plan.problems[0]


def test_a_file_outside_the_tree_is_told(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "../../../etc/passwd.ko:\n")
    plan = resolver.resolve("passwd")
    assert "outside the tree" in plan.problems[0]


def test_dependencies_in_a_circle_end(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "a.ko: b.ko a.ko\nb.ko: a.ko b.ko\n")
    assert set(loads(resolver, "a")) == {"a", "b"}


def test_softdeps_in_a_circle_end(tmp_path: Path) -> None:
    config = "softdep a pre: b\nsoftdep b pre: c post: a\nsoftdep c pre: a\n"
    resolver = text_tree(tmp_path, "a.ko:\nb.ko:\nc.ko:\n", config)
    assert loads(resolver, "a") == ["c", "b", "a"]


def test_a_chain_of_softdeps_longer_than_the_stack_is_followed(tmp_path: Path) -> None:
    count = 3 * sys.getrecursionlimit()
    source = Source("f", 1)
    rules = tuple(Rule("softdep", f"m{n}", f"pre: m{n + 1}", source) for n in range(count))
    dependencies = "".join(f"m{n}.ko:\n" for n in range(count + 1))
    resolver = text_tree(tmp_path, dependencies)
    chained = Resolver(resolver.root, Config(rules=rules), resolver.indexes)
    assert loads(chained, "m0") == [f"m{n}" for n in range(count, -1, -1)]


def test_fifty_thousand_wildcard_aliases_are_told_apart(tmp_path: Path) -> None:
    config = "".join(f"alias pci:v{n:08x}d* a\n" for n in range(50_000))
    resolver = text_tree(tmp_path, "a.ko:\n", config)
    for n in range(200):
        assert loads(resolver, f"pci:v{n:08x}d0001") == ["a"]
    assert len(resolver.lookup("pci:v0000c350d1")) == 0


def test_every_step_says_why_it_is_there(tmp_path: Path) -> None:
    config = "softdep c post: d\noptions a x=1\ninstall d /bin/true\nalias other a\n"
    resolver = text_tree(tmp_path, DEPENDENCIES + "kernel/d.ko:\n", config)
    plan = resolver.resolve("other", "y=2")
    told = [(step.module, step.kind, step.reason, step.parent) for step in plan.steps]
    assert told == [
        ("c", StepKind.INSMOD, Reason.DEPENDENCY, "a"),
        ("d", StepKind.INSTALL, Reason.SOFTDEP_POST, "c"),
        ("b", StepKind.INSMOD, Reason.DEPENDENCY, "a"),
        ("a", StepKind.INSMOD, Reason.REQUESTED, ""),
    ]
    assert [step.required for step in plan.steps] == [True, False, True, True]
    assert plan.steps[-1].options == "x=1 y=2"
    assert str(plan.targets[0].found_by).endswith("test.conf:4")
    assert str(plan.steps[1].source).endswith("test.conf:3")


def test_the_blacklist_stops_an_alias_and_a_name_only_when_told(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "a.ko:\n", "blacklist a\nalias other a\n")
    assert [step.kind for step in resolver.resolve("other").steps] == [StepKind.BLACKLISTED]
    assert [step.kind for step in resolver.resolve("a").steps] == [StepKind.INSMOD]
    told = resolver.resolve("a", use_blacklist=True).steps
    assert [step.kind for step in told] == [StepKind.BLACKLISTED]


def test_what_is_loaded_is_not_loaded_again(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, DEPENDENCIES)
    kinds = [s.kind for s in resolver.resolve("a", loaded={"c"}.__contains__).steps]
    assert kinds == [StepKind.ALREADY_LOADED, StepKind.INSMOD, StepKind.INSMOD]
    kinds = [s.kind for s in resolver.resolve("a", loaded={"a"}.__contains__).steps]
    assert kinds == [StepKind.ALREADY_LOADED]


def test_a_file_by_its_path_brings_its_dependencies(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, DEPENDENCIES)
    own = tmp_path / "b.ko"
    own.touch()
    plan = resolver.resolve(str(own))
    assert [step.module for step in plan.steps] == ["c", "b"]
    assert plan.steps[-1].path == str(own)


def test_a_root_is_found_by_its_only_tree(tmp_path: Path, kernel: KernelFiles) -> None:
    with pytest.raises(NotFoundError, match="no module tree"):
        find_root(tmp_path)
    text_tree(tmp_path, "a.ko:\n")
    assert find_root(tmp_path).release == "1"
    assert find_root(kernel.root, kernel.release).modules_directory == str(kernel.modules)
