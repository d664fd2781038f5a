"""modprobe against the machine's own kmod: the same bytes, the same exit status."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lkm.cli.commands.kmod_tools.modprobe import config_lines, plan_lines
from lkm.operations.resolve import open_kmod_resolver
from lkm.tree.resolver import Resolver
from tests.support.kernels import KernelFiles

EXAMPLES = 100


@pytest.fixture(scope="session")
def tree(kmod_tree: Path) -> tuple[Path, str]:
    """The root of the tree that kmod indexed, and its release."""
    return kmod_tree.parents[2], kmod_tree.name


def kmod(tree: tuple[Path, str], *arguments: str) -> tuple[bytes, int]:
    """Run the real modprobe on ``tree`` and return its output and status."""
    root, release = tree
    done = subprocess.run(
        ["modprobe", "-d", str(root), "-S", release, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout, done.returncode


def lkm(tree: tuple[Path, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run our modprobe as a process."""
    root, release = tree
    command = [sys.executable, "-m", "lkm", "modprobe", "-d", str(root), "-S", release]
    return subprocess.run([*command, *arguments], capture_output=True, check=False)


def shown(resolver: Resolver, name: str, options: str = "") -> bytes:
    """Return what ``modprobe -D NAME OPTIONS`` prints, without a process."""
    return os.fsencode("".join(plan_lines(resolver.resolve(name, options))))


def module_names(tree: tuple[Path, str]) -> list[str]:
    root, release = tree
    text = (root / "lib/modules" / release / "modules.dep").read_text()
    return [Path(line.partition(":")[0]).name.partition(".")[0] for line in text.splitlines()]


def modaliases(tree: tuple[Path, str], count: int) -> list[str]:
    """Return modaliases as devices have them, made from the patterns of the tree's modules."""
    root, release = tree
    lines = (root / "lib/modules" / release / "modules.alias").read_text().splitlines()[1:]
    chance = random.Random(1)
    return [_device(line.split()[1], chance) for line in chance.sample(lines, count)]


def _device(pattern: str, chance: random.Random) -> str:
    text, rest = "", pattern
    while rest:
        head, rest = rest[0], rest[1:]
        if head == "*":
            text += "".join(chance.choice("0123456789ABCDEF") for _ in range(chance.choice((0, 8))))
        elif head == "?":
            text += chance.choice("0123456789ABCDEF")
        elif head == "[":
            members, _, rest = rest.partition("]")
            text += members[0]
        else:
            text += head
    return text


def _agrees(tree: tuple[Path, str], names: list[str]) -> None:
    root, release = tree
    resolver = open_kmod_resolver(str(root), release)
    for name in names:
        assert (shown(resolver, name), 0) == kmod(tree, "-D", name), name


def test_a_sample_of_names_is_resolved_as_kmod_does(tree: tuple[Path, str]) -> None:
    _agrees(tree, random.Random(2).sample(module_names(tree), 300))


@pytest.mark.full
def test_every_name_is_resolved_as_kmod_does(tree: tuple[Path, str]) -> None:
    names = module_names(tree)
    assert len(names) > 4000
    _agrees(tree, names)


def _agrees_on_aliases(tree: tuple[Path, str], count: int) -> None:
    root, release = tree
    resolver = open_kmod_resolver(str(root), release)
    for alias in modaliases(tree, count):
        names = "".join(f"{c.module}\n" for c in resolver.lookup(alias)).encode()
        assert (names, 0) == kmod(tree, "-R", alias), alias
        assert (shown(resolver, alias), 0) == kmod(tree, "-D", alias), alias


def test_a_sample_of_modaliases_is_resolved_as_kmod_does(tree: tuple[Path, str]) -> None:
    _agrees_on_aliases(tree, 150)


@pytest.mark.full
def test_two_thousand_modaliases_are_resolved_as_kmod_does(tree: tuple[Path, str]) -> None:
    _agrees_on_aliases(tree, 2000)


COMMAND_LINES = [
    ("-c",),
    ("-D", "ext4"),
    ("-D", "snd-hda-intel", "power_save=1", "name=a b", "other='x y'"),
    ("-D", "nowhere"),
    ("-aD", "ext4", "nowhere", "loop"),
    ("-R", "fs-ext4"),
    ("-aR", "loop", "symbol:crc16", "fs-btrfs"),
    ("-qD", "nowhere"),
    ("-n", "ext4"),
    ("-nv", "ext4"),
    ("-D", "-i", "btrfs"),
    ("-D", "8250"),
    ("-D", "bad]alias"),
    ("--show-dep", "loop"),
    ("--zz",),
    ("-w", "soon", "ext4"),
    (),
]


@pytest.mark.parametrize("arguments", COMMAND_LINES, ids=" ".join)
def test_output_messages_and_status_are_kmods(
    tree: tuple[Path, str], arguments: tuple[str, ...]
) -> None:
    root, release = tree
    real = subprocess.run(
        ["modprobe", "-d", str(root), "-S", release, *arguments], capture_output=True, check=False
    )
    ours = lkm(tree, *arguments)
    assert ours.stdout == real.stdout
    assert ours.stderr == real.stderr
    assert ours.returncode == real.returncode


@pytest.mark.parametrize("name", ["lib/crc16", "sound/core/snd", "fs/ext4/ext4", "../x"])
@pytest.mark.parametrize("option", ["--show-exports", "--dump-modversions"])
def test_symbol_versions_are_kmods(kernel: KernelFiles, name: str, option: str) -> None:
    path = str(kernel.modules / "kernel" / f"{name}.ko")
    real = subprocess.run(["modprobe", option, path], capture_output=True, check=False)
    ours = subprocess.run(
        [sys.executable, "-m", "lkm", "modprobe", option, path], capture_output=True, check=False
    )
    assert (ours.stdout, ours.stderr, ours.returncode) == (
        real.stdout,
        real.stderr,
        real.returncode,
    )


@pytest.mark.parametrize(
    "value", ["-D", "-q -D", "'-D'", '-C "a b" -D', "-D  -v", "-D -C 'it'x", "-D 'open"]
)
def test_modprobe_options_are_taken_apart_as_kmod_does(
    tree: tuple[Path, str], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODPROBE_OPTIONS", value)
    ours = lkm(tree, "loop")
    assert (ours.stdout, ours.returncode) == kmod(tree, "loop")


# Random configurations

NAMES = st.sampled_from(
    ["ext4", "mbcache", "jbd2", "crc16", "crc32c_generic", "crc32c-generic", "snd-hda-intel",
     "snd_hda_codec", "snd", "soundcore", "loop", "btrfs", "raid6_pq", "xor", "nowhere", "my-alias",
     "fs-ext4", "fs-*", "snd[-_]*", "snd[a-z_]*", "*", "l??p", "x[", "y]"]
)  # fmt: skip
BLANK = st.sampled_from([" ", "  ", "\t", " \t ", " \\\n", " \\\n  "])
VALUE = st.sampled_from(
    [
        "a=1",
        "b=x,y",
        "flag",
        'q="a b"',
        "-1",
        "\\x",
        "é",
        "/bin/true",
        "$CMDLINE_OPTS",
        "#note",
        ";",
    ]
)


@st.composite
def rule(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["alias", "blacklist", "options", "install", "remove", "softdep"]))
    words = [kind, draw(NAMES)]
    if kind == "alias":
        words.append(draw(NAMES))
    elif kind == "softdep":
        for key in draw(st.permutations(["pre:", "post:", ""])):
            words += [key, *draw(st.lists(NAMES, max_size=3))]
    elif kind != "blacklist":
        words += draw(st.lists(VALUE, min_size=1, max_size=3))
    text = words[0]
    for word in words[1:]:
        text += draw(BLANK) + word
    return text + draw(st.sampled_from(["", " ", "\t", "\r"]))


LINE = st.one_of(
    rule(),
    rule(),
    rule(),
    rule(),
    st.sampled_from(["", "# comment", "  # no comment", "include x", "options loop", "alias a"]),
    st.text("ab =-\\#\n\t", max_size=10),
)
FILE = st.lists(LINE, max_size=8).map("\n".join)
FILE_NAME = st.sampled_from(["a.conf", "b.conf", "z.conf", "x.alias", "modules.conf", "c.txt"])
DIRECTORIES = st.lists(st.dictionaries(FILE_NAME, FILE, max_size=3), min_size=1, max_size=2)
ASKED = ["ext4", "snd-hda-intel", "loop", "btrfs", "my-alias", "fs-ext4", "nowhere"]


def _write(folder: Path, directories: list[dict[str, str]]) -> list[str]:
    paths = []
    for number, directory in enumerate(directories):
        path = folder / str(number)
        path.mkdir()
        for name, text in directory.items():
            (path / name).write_text(text, newline="")
        paths.append(str(path))
    return paths


def _same_as_kmod(
    tree: tuple[Path, str], folder: Path, directories: list[dict[str, str]], asked: str
) -> None:
    root, release = tree
    paths = _write(folder, directories)
    options = [word for path in paths for word in ("-C", path)]
    nothing = open_kmod_resolver(str(folder), "none", paths)
    config = os.fsencode("".join(config_lines(nothing)))
    assert config == kmod((folder, "none"), *options, "-c")[0]
    resolver = open_kmod_resolver(str(root), release, paths)
    assert shown(resolver, asked, "o=1") == kmod(tree, *options, "-D", asked, "o=1")[0]


def _configurations(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        quick = settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        return quick(given(directories=DIRECTORIES, asked=st.sampled_from(ASKED))(test))

    return decorate


@_configurations(EXAMPLES)
def test_random_configurations_mean_what_they_mean_to_kmod(
    tree: tuple[Path, str],
    tmp_path_factory: pytest.TempPathFactory,
    directories: list[dict[str, str]],
    asked: str,
) -> None:
    _same_as_kmod(tree, tmp_path_factory.mktemp("config"), directories, asked)


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ("install snd[-_]* a=1\nsoftdep ext4 post: snd[-_]*", "ext4"),
        ("install snd* b=1\ninstall snd[a] a=1\nsoftdep ext4 pre: snd[a]", "ext4"),
        ("install snd[a] a=1", "snd[a]"),
        ("remove snd* b=1\nremove snd[a] a=1", "snd[a]"),
        ("install x.y b=1\ninstall x a=1\nsoftdep loop post: x.y", "loop"),
    ],
)
def test_a_command_found_by_a_pattern_that_does_not_match_itself(
    tree: tuple[Path, str], tmp_path: Path, rules: str, asked: str
) -> None:
    _same_as_kmod(tree, tmp_path, [{"a.conf": rules}], asked)


@pytest.mark.full
@_configurations(10 * EXAMPLES)
def test_a_thousand_random_configurations_mean_what_they_mean_to_kmod(
    tree: tuple[Path, str],
    tmp_path_factory: pytest.TempPathFactory,
    directories: list[dict[str, str]],
    asked: str,
) -> None:
    _same_as_kmod(tree, tmp_path_factory.mktemp("config"), directories, asked)


def test_a_plan_is_shown_without_importing_what_it_does_not_need(tree: tuple[Path, str]) -> None:
    root, release = tree
    code = (
        "import sys; from lkm.cli.main import run; "
        f"run(['modprobe', '-d', {str(root)!r}, '-S', {release!r}, '-D', 'ext4']); "
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert done.stdout.count("insmod") == 6
    heavy = {"click", "rich", "msgspec", "cryptography", "subprocess", "lzma", "pathlib"}
    assert not imported & {*heavy, "lkm.kernel.kernel", "lkm.kernels.known"}
