import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.tree.index_file import IndexFile
from lkm.tree.index_format import HEADER_SIZE
from lkm.tree.index_writer import pack_several, pack_single, pack_value, trie
from lkm.tree.wildcards import match
from tests.support.trees import TRIES


def written(values: dict[str, list[tuple[int, str]]]) -> bytes:
    return trie(
        {
            key.encode(): pack_several(pack_value(p, v.encode()) for p, v in several)
            for key, several in values.items()
        }
    )


@pytest.mark.parametrize("name", TRIES)
def test_written_as_kmod_writes(kmod_tree: Path, name: str) -> None:
    index = IndexFile.open(kmod_tree / name)
    values: dict[str, list[tuple[int, str]]] = {}
    for key, value in index.items():
        values.setdefault(key, []).append(value)
    assert len(values) > 50
    assert written(values) == (kmod_tree / name).read_bytes()


def test_every_module_is_found(kmod_tree: Path) -> None:
    index = IndexFile.open(kmod_tree / "modules.dep.bin")
    lines = (kmod_tree / "modules.dep").read_text().splitlines()
    assert len(lines) > 3000
    for line in lines:
        name = Path(line.partition(":")[0]).name.partition(".")[0].replace("-", "_")
        assert index.search(name) == line
    assert index.search("no_such_module") is None


def real_modaliases(folder: Path, count: int) -> list[str]:
    """Make device aliases of the patterns in modules.alias: every wildcard a value."""
    chosen = random.Random(7)
    lines = (folder / "modules.alias").read_text().splitlines()[1:]
    patterns = [line.split()[1] for line in chosen.sample(lines, count)]
    return [
        p.replace("*", chosen.choice(("", "1", "00000001"))).replace("?", "1") for p in patterns
    ]


def test_modaliases_resolve_as_modprobe_does(kmod_tree: Path) -> None:
    index = IndexFile.open(kmod_tree / "modules.alias.bin")
    # modprobe normalises the question; one with a bracket left in it is no question.
    wanted = [a.replace("-", "_") for a in real_modaliases(kmod_tree, 300) if "[" not in a]
    root = kmod_tree.parents[2]
    for alias in wanted:
        command = [
            "modprobe",
            "-C",
            "/dev/null",
            "-d",
            str(root),
            "-S",
            kmod_tree.name,
            "-R",
            alias,
        ]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert [value.value for value in index.search_wild(alias)] == answer.stdout.split()


keys = st.text("ab*?[]-_c", min_size=0, max_size=6)


@given(st.dictionaries(keys, st.lists(st.tuples(st.integers(0, 3), keys), min_size=1, max_size=3)))
def test_read_gives_back_what_was_written(values: dict[str, list[tuple[int, str]]]) -> None:
    index = IndexFile(written(values))
    expected = [(key, value) for key in sorted(values) for value in values[key]]
    assert [(key, tuple(value)) for key, value in index.items()] == expected
    for key, several in values.items():
        assert [tuple(v) for v in index.search_values(key)] == several


def normal_keys() -> st.SearchStrategy[str]:
    pieces = st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "ab"])
    return st.lists(pieces, max_size=5).map("".join)


@given(st.sets(normal_keys(), min_size=1, max_size=30), st.text("ab", max_size=6))
def test_wildcards_find_what_matches(patterns: set[str], text: str) -> None:
    index = IndexFile(written({key: [(0, key)] for key in patterns}))
    found = [value.value for value in index.search_wild(text)]
    assert sorted(found) == sorted(p for p in patterns if match(p.encode(), text.encode()))


def test_equal_priorities_come_last_first() -> None:
    index = IndexFile(written({"a*": [(1, "one")], "ab": [(1, "two"), (0, "zero")]}))
    assert [v.value for v in index.search_wild("ab")] == ["zero", "two", "one"]


def test_empty_index() -> None:
    index = IndexFile(trie({}))
    assert list(index.items()) == []
    assert index.search("a") is None
    assert index.search_wild("a") == ()


@pytest.mark.parametrize(
    "data", [b"", b"\xb0\x07\xf4\x57", bytes(12), b"\xb0\x07\xf4\x57\0\3\0\1" + bytes(4)]
)
def test_not_an_index(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        IndexFile(data)
    assert "depmod" in caught.value.hint


def look_at_all(data: bytes) -> None:
    """Use every way in; only FormatError may come out."""
    try:
        index = IndexFile(data)
    except FormatError:
        return
    for look in (
        lambda: list(index.items()),
        lambda: index.search("alpha"),
        lambda: index.search_wild("alpha:beta"),
    ):
        try:
            look()
        except FormatError:
            continue


SMALL = trie(
    {k: pack_single(pack_value(7, b"m")) for k in (b"alpha", b"al*", b"alpha:[a-c]*", b"x")}
)


@given(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=6))
def test_damaged_bytes(offset: int, damage: bytes) -> None:
    look_at_all(SMALL[:offset] + damage + SMALL[offset + len(damage) :])


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_truncated(length: int) -> None:
    look_at_all(SMALL[:length])


def test_a_node_that_contains_itself() -> None:
    loop = (0x2000_0000 | HEADER_SIZE).to_bytes(4, "big")
    data = SMALL[:8] + loop + b"aa" + loop
    index = IndexFile(data)
    with pytest.raises(FormatError, match="contain themselves"):
        list(index.items())
    assert index.search("a" * 1000) is None
