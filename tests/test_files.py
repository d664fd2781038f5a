from pathlib import Path

import pytest

from lkm import files


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "f"
    files.write_atomic(target, b"old")
    with pytest.raises(RuntimeError), files.Replacing(target) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "key", b"x", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_cache_directory_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_directory("a", "b") == tmp_path / "lkm" / "a" / "b"
