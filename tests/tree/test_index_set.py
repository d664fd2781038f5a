import shutil
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.tree.index_file import IndexFile
from lkm.tree.index_text import from_text


def open_index(directory: Path, name: str) -> tuple[IndexFile, FormatError | None]:
    """Open the trie, or what its text says if it is damaged; and say why."""
    try:
        return IndexFile.open(directory / f"{name}.bin"), None
    except FormatError as error:
        try:
            return from_text(directory, name), error
        except FileNotFoundError:
            raise error from None


@pytest.fixture
def damaged(kmod_tree: Path, tmp_path: Path) -> Path:
    for path in kmod_tree.glob("modules.*"):
        shutil.copyfile(path, tmp_path / path.name)
    for path in tmp_path.glob("*.bin"):
        path.write_bytes(path.read_bytes()[:7])
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["modules.dep", "modules.alias", "modules.symbols", "modules.builtin", "modules.builtin.alias"],
)
def test_the_text_answers_for_a_damaged_trie(kmod_tree: Path, damaged: Path, name: str) -> None:
    whole, no_problem = open_index(kmod_tree, name)
    assert no_problem is None
    index, problem = open_index(damaged, name)
    assert problem is not None
    assert problem.path == str(damaged / f"{name}.bin")
    expected = [(key, value.value) for key, value in whole.items()]
    assert [(key, value.value) for key, value in index.items()] == expected


def test_neither_trie_nor_text(damaged: Path) -> None:
    (damaged / "modules.dep").unlink()
    with pytest.raises(FormatError, match=r"modules\.dep\.bin"):
        open_index(damaged, "modules.dep")


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_index(tmp_path, "modules.dep")


def test_alias_patterns_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "modules.alias.bin").write_bytes(b"")
    (tmp_path / "modules.alias").write_text("# x\nalias dmi:a b* mod\nalias broken]x other\n")
    index, _ = open_index(tmp_path, "modules.alias")
    assert [(key, value.value) for key, value in index.items()] == [("dmi:a b*", "mod")]
