from pathlib import Path

import pytest

from lkm.operations.lint.lint import lint
from lkm.operations.lint.tree import LintFinding, LintSeverity
from lkm.operations.resolve import open_kmod_resolver, open_resolver
from tests.support.kernels import KernelFiles
from tests.support.text_tree import text_tree
from tests.support.trees import kmod_depmod, linked_tree

DEPENDENCIES = "a.ko: b.ko\nb.ko:\nc.ko:\nlonely.ko:\n"
ALIASES = "alias x:1 a\nalias x:2 b\nalias x:3 c\n"


def _codes(tmp_path: Path, config: str) -> dict[int, set[str]]:
    resolver = text_tree(tmp_path, DEPENDENCIES, config, alias=ALIASES, builtin="inside.ko\n")
    found: dict[int, set[str]] = {}
    for finding in lint(resolver, ""):
        assert finding.source.path.endswith("test.conf")
        found.setdefault(finding.source.line, set()).add(finding.code)
    return found


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("blacklist c", set()),
        ("blacklist b", {"blacklist-dependency"}),
        ("blacklist lonely", {"blacklist-no-alias"}),
        ("blacklist inside", {"blacklist-builtin"}),
        ("blacklist nowhere", {"unknown-module"}),
        ("blacklist a*", {"wildcard"}),
        ("blacklist x:3", {"blacklist-alias"}),
        ("options inside y=1", {"options-builtin"}),
        ("options nowhere y=1", {"unknown-module"}),
        ("options a? y=1", {"wildcard"}),
        ("alias y:1 nowhere", {"unknown-module"}),
        ("alias y:1 off", set()),
        ("softdep a pre: nowhere", {"unknown-module"}),
        ("softdep a  pre: c", {"empty-softdep"}),
        ("softdep a pre: c", set()),
        ("install a /bin/true", {"install-hack"}),
        ("install a modprobe a", {"install-loop", "install-options"}),
        ("install a modprobe -i a $CMDLINE_OPTS", set()),
        ("weakdep a c", {"weakdep"}),
        ("blakclist a", {"bad-line"}),
        (" # comment", {"bad-line"}),
        ("blacklist c\r", {"carriage-return", "unknown-module"}),
    ],
)
def test_one_line_and_what_is_wrong_with_it(tmp_path: Path, line: str, codes: set[str]) -> None:
    assert _codes(tmp_path, f"{line}\n") == ({1: codes} if codes else {})


def test_a_blacklist_with_an_install_command_does_stop_a_dependency(tmp_path: Path) -> None:
    assert _codes(tmp_path, "blacklist b\ninstall b /bin/false\n") == {2: {"install-hack"}}


def test_rules_after_the_first_are_lost(tmp_path: Path) -> None:
    config = "softdep a pre: c\nsoftdep a post: c\ninstall b x\ninstall b y\n"
    assert _codes(tmp_path, config) == {2: {"lost-softdep"}, 4: {"lost-install"}}


def test_a_softdep_takes_the_place_of_an_install_command(tmp_path: Path) -> None:
    assert _codes(tmp_path, "softdep a pre: c\ninstall a x\n") == {2: {"install-void"}}


def test_a_rule_can_hide_the_softdep_a_module_brings(tmp_path: Path) -> None:
    softdeps = "softdep a pre: b\n"
    text_tree(tmp_path, DEPENDENCIES, "softdep a pre: c\n", alias=ALIASES, softdep=softdeps)
    (tmp_path / "etc/modprobe.d/test.conf").rename(tmp_path / "etc/modprobe.d/a.conf")
    resolver = open_resolver(str(tmp_path), "1", kernel_command_line="")
    (finding,) = lint(resolver, "")
    assert (finding.code, finding.source.line) == ("hidden-softdep", 1)


def test_masked_files_and_files_not_read(tmp_path: Path) -> None:
    text_tree(tmp_path, DEPENDENCIES, "")
    weak = tmp_path / "lib/modprobe.d"
    weak.mkdir()
    for name, strong in (("same.conf", "# x\n"), ("other.conf", "# y\n"), ("test.conf", "")):
        (weak / name).write_text("# x\n")
        (tmp_path / "etc/modprobe.d" / name).write_text(strong)
    (weak / "notes.txt").write_text("")
    found = {
        Path(f.source.path).name: (f.code, f.severity)
        for f in lint(open_resolver(str(tmp_path), "1", kernel_command_line=""), "")
    }
    assert found == {
        "same.conf": ("masked-file", LintSeverity.NOTE),
        "other.conf": ("masked-file", LintSeverity.WARNING),
        "test.conf": ("masked-file", LintSeverity.NOTE),
        "notes.txt": ("not-read", LintSeverity.WARNING),
    }


def test_modules_to_load_that_are_unknown_or_blacklisted(tmp_path: Path) -> None:
    text_tree(tmp_path, DEPENDENCIES, "blacklist c\n", alias=ALIASES)
    loads = tmp_path / "etc/modules-load.d/x.conf"
    loads.parent.mkdir()
    loads.write_text("a\nc\nnowhere\n")
    found = lint(open_resolver(str(tmp_path), "1", kernel_command_line=""), "")
    assert [(f.code, f.source.line) for f in found] == [
        ("load-blacklisted", 2),
        ("unknown-module", 3),
    ]


def test_an_index_that_is_out_of_date(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "a.ko:\nmissing/b.ko:\n")
    (tmp_path / "lib/modules/1/updates").mkdir()
    (tmp_path / "lib/modules/1/updates/new.ko").touch()
    found = {finding.code: finding.message for finding in lint(resolver, "")}
    assert set(found) == {"not-indexed", "missing-file"}
    assert found["not-indexed"].endswith("updates/new.ko")
    assert found["missing-file"].endswith("missing/b.ko")


def _of_real_modules(kernel: KernelFiles, tmp_path: Path, config: str) -> list[LintFinding]:
    linked_tree(kernel, tmp_path)
    assert kmod_depmod(tmp_path, kernel.release).returncode == 0
    (tmp_path / "x.conf").write_text(config)
    paths = [str(tmp_path / "x.conf")]
    found = lint(open_kmod_resolver(str(tmp_path), kernel.release, paths), "")
    return [finding for finding in found if finding.source.path == paths[0]]


def test_parameters_are_held_against_the_real_module(kernel: KernelFiles, tmp_path: Path) -> None:
    config = "options loop max-loop=8 dyndbg=+p max_lop=1 # hm\noptions loop max_loop=9\n"
    found = _of_real_modules(kernel, tmp_path, config)
    assert [(f.code, f.source.line) for f in found if f.severity is LintSeverity.WARNING] == [
        ("comment", 1),
        ("unknown-parameter", 1),
    ]
    unknown = next(f for f in found if f.code == "unknown-parameter")
    assert "max_lop" in unknown.message
    assert "max_loop" in unknown.hint
