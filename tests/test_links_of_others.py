"""What root writes does not go through a link that another user made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lkm.module.compression import Compression
from lkm.operations import module_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")


def test_a_link_of_another_user(tmp_path: Path) -> None:
    target, link = tmp_path / "secret", tmp_path / "module.ko"
    target.write_bytes(b"old")
    link.symlink_to(target)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="not followed"):
        module_files.write(str(target), str(link), b"new", Compression.NONE)
    assert target.read_bytes() == b"old"


def test_attributes_mode_and_owner_are_kept(tmp_path: Path) -> None:
    path, other = tmp_path / "module.ko", tmp_path / "other.ko"
    path.write_bytes(b"old")
    os.link(path, other)
    path.chmod(0o640)
    os.chown(path, 65534, 65534)
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    module_files.write(str(path), str(path), b"new", Compression.NONE)
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o640, 65534)
    assert os.getxattr(path, "user.note") == b"kept"
    assert other.read_bytes() == b"old"
