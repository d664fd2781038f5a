from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lkm.depmod.config import read_depmod_config
from lkm.tree.config import (
    Rule,
    kernel_options,
    parse_rules,
    read_config,
    read_modules_load,
    softdeps,
)
from lkm.tree.config_files import Source, logical_lines
from lkm.tree.root import Root


def _put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_rule_knows_the_line_it_begins_on() -> None:
    rules, bad = parse_rules(b"# one\noptions a \\\n  x=1\n\nblacklist b-c\nodd\n", "f.conf")
    assert rules == (
        Rule("options", "a", "  x=1", Source("f.conf", 2)),
        Rule("blacklist", "b_c", "", Source("f.conf", 5)),
    )
    assert [(str(b.source), b.word) for b in bad] == [("f.conf:6", "odd")]


def test_a_stronger_directory_masks_a_file_but_its_rules_are_kept(tmp_path: Path) -> None:
    root = Root(tmp_path, "1")
    _put(tmp_path / "etc/modprobe.d/a.conf", "options x strong=1\n")
    weak = _put(tmp_path / "lib/modprobe.d/a.conf", "options x weak=1\n")
    _put(tmp_path / "lib/modprobe.d/b.conf", "options x other=1\n")
    config = read_config(root=root, kernel_command_line="")
    assert [rule.value for rule in config.rules] == ["strong=1", "other=1"]
    assert [(rule.value, rule.source.path) for rule in config.masked] == [("weak=1", weak)]


def test_lib_and_usr_lib_are_one_directory_on_a_merged_root(tmp_path: Path) -> None:
    _put(tmp_path / "usr/lib/modprobe.d/a.conf", "blacklist x\n")
    (tmp_path / "lib").symlink_to("usr/lib")
    config = read_config(root=Root(tmp_path, "1"), kernel_command_line="")
    assert len(config.rules) == 1
    assert [file.masked_by for file in config.files] == [""]


def test_files_are_read_in_the_order_of_their_names_over_all_directories(tmp_path: Path) -> None:
    _put(tmp_path / "etc/modprobe.d/z.conf", "options x a=3\n")
    _put(tmp_path / "run/modprobe.d/m.conf", "options x a=2\n")
    _put(tmp_path / "lib/modprobe.d/b.conf", "options x a=1\n")
    config = read_config(root=Root(tmp_path, "1"), kernel_command_line="")
    assert [rule.value for rule in config.rules] == ["a=1", "a=2", "a=3"]


def test_modules_load_files_and_the_command_line(tmp_path: Path) -> None:
    _put(tmp_path / "etc/modules-load.d/a.conf", "# c\n; d\n loop \n\nsnd-hda\n")
    _put(tmp_path / "lib/modules-load.d/a.conf", "never\n")
    line = _put(tmp_path / "cmdline", "quiet modules_load=tun,tap rw\n")
    rules = read_modules_load(Root(tmp_path, "1"), line)
    assert [rule.name for rule in rules] == ["loop", "snd-hda", "tun", "tap"]
    assert rules[0].source.line == 3


def test_what_only_the_kernel_reads_is_kept_apart(tmp_path: Path) -> None:
    line = _put(tmp_path / "cmdline", "module_blacklist=a-b,c usbcore.x=1\n")
    config = read_config([], kernel_command_line=line)
    assert [(r.kind, r.name) for r in config.kernel] == [
        ("module_blacklist", "a_b"),
        ("module_blacklist", "c"),
    ]
    assert [(r.kind, r.name, r.value) for r in config.rules] == [("options", "usbcore", "x=1")]


def test_a_single_file_and_bytes_of_no_encoding(tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(b"options x y=\xff\xfe\n")
    (rule,) = read_config([str(path)], kernel_command_line="").rules
    assert os.fsencode(rule.value) == b"y=\xff\xfe"


def test_depmod_rules(tmp_path: Path) -> None:
    _put(tmp_path / "a.conf", "search updates  built-in\noverride a 6.1\noverride a * extra\nx\n")
    rules, bad = read_depmod_config([str(tmp_path)])
    assert [(r.kind, r.words) for r in rules] == [
        ("search", ("updates", "built-in")),
        ("override", ("a", "*", "extra")),
    ]
    assert [b.word for b in bad] == ["override", "x"]


def test_softdep_lists() -> None:
    assert softdeps("pre: a b post: c") == (("a", "b"), ("c",))
    assert softdeps("a pre: b") == (("b",), ())
    assert softdeps(" pre: a") == ((), ())


def test_a_hundred_thousand_lines_are_read_and_asked(tmp_path: Path) -> None:
    lines = [f"alias pci:v{n:08x}d* module{n % 7}" for n in range(50_000)]
    lines += [f"options module{n} a={n}" for n in range(50_000)]
    _put(tmp_path / "big.conf", "\n".join(lines))
    config = read_config([str(tmp_path)], kernel_command_line="")
    assert len(config.rules) == 100_000
    assert config.rules[-1].source.line == 100_000


def test_a_continuation_over_a_hundred_thousand_lines_is_one_rule() -> None:
    data = b"options x " + b"a=1 \\\n" * 100_000
    (rule,), _ = parse_rules(data, "f")
    assert rule.source.line == 1
    assert len(rule.value) == 400_000


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed(data: bytes) -> None:
    rules, bad = parse_rules(data, "f")
    lines = data.count(b"\n") + 1
    sources = [rule.source for rule in rules] + [line.source for line in bad]
    assert all(1 <= source.line <= lines for source in sources)
    assert all(text.count(b"\0") == 0 for _, _, text in logical_lines(data))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(
            ["usbcore", "snd-hda", "modprobe", ".", ".", "=", "blacklist", "=", "a,b", " ", "  ",
             '"', '"', "\t", "quiet", "x", "-- ", "\n"]
        ),
        max_size=14,
    ).map("".join)
)  # fmt: skip
def test_kernel_command_lines_mean_what_they_mean_to_kmod(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("cmdline")
    _put(folder / "cmdline", text)
    script = 'mount --bind "$0" /proc/cmdline && exec modprobe -C "$1" -c'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    nothing = folder / "empty"
    nothing.mkdir()
    real = subprocess.run(
        [*command, str(folder / "cmdline"), str(nothing)],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.partition(b"\n# End")[0]
    rules = kernel_options(text.encode())
    lines = [f"{r.kind} {r.name}\n" for r in rules if r.kind == "blacklist"]
    lines += [f"{r.kind} {r.name} {r.value}\n" for r in rules if r.kind == "options"]
    assert "".join(lines).encode() == real
