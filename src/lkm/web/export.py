"""The page as a folder that opens from disk: its files, and what was recorded as a script."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from lkm import files
from lkm.errors import NotFoundError, UsageError
from lkm.operations.trial import encoding
from lkm.web.views.recorded import recordings

PAGE = Path(__file__).parent / "static/export"
"""The build of the page that needs no server."""
_SCRIPT = "recorded.js"


def export(directory: str | os.PathLike[str], page: Path = PAGE) -> Path:
    """Write the page and its recordings to a folder, and return the file to open.

    Raises UsageError for a folder that holds anything but an earlier export, NotFoundError where
    the page is not built.
    """
    if not (page / "index.html").is_file():
        raise NotFoundError("the page is not built here", hint="in a clone of lkm: make page")
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is not a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / _SCRIPT).is_file():
        raise UsageError(
            f"{target} is not empty, and holds no earlier export", hint="name another folder"
        )
    shutil.copytree(page, target, dirs_exist_ok=True)
    documents = [encoding.plain(recording) for recording in recordings()]
    script = b"globalThis.lkmRecorded = " + msgspec.json.encode(documents) + b"\n"
    files.write_atomic(target / _SCRIPT, script)
    return target / "index.html"
