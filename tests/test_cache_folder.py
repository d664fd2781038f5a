"""Whose cache is read, and how narrow its folder is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lkm import files


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lkm"


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_it_is_made_for_us_alone(base: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.cache_folder("vm")
    finally:
        os.umask(before)
    assert base.stat().st_mode & 0o777 == 0o700


def test_one_that_others_may_write_to_is_closed(base: Path) -> None:
    base.mkdir(parents=True)
    base.chmod(0o777)
    files.cache_folder()
    assert base.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_is_not_read(base: Path) -> None:
    base.mkdir(parents=True)
    os.chown(base, 65534, 65534)
    with pytest.raises(PermissionError, match="another user"):
        files.cache_folder("kernels")
