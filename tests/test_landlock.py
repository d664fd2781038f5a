"""A confined process reads and writes what it was given, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lkm import landlock

_CONFINED = """
import socket, subprocess, sys
from lkm import landlock
read, write, outside = sys.argv[1:]
places = ["/usr", "/lib", "/lib64", "/bin", sys.prefix, sys.base_prefix, read]
landlock.confine(read=[*places, "/does/not/exist"], write=[write])

def attempt(what, action):
    try:
        action()
        print(what, "done")
    except OSError as error:
        print(what, type(error).__name__)

attempt("read", lambda: open(f"{read}/file").read())
attempt("read outside", lambda: open(f"{outside}/file").read())
attempt("write", lambda: open(f"{write}/new", "w").write("x"))
attempt("write where it may read", lambda: open(f"{read}/file", "w"))
attempt("write outside", lambda: open(f"{outside}/new", "w"))
attempt("follow a link", lambda: open(f"{write}/link").read())
child = lambda: subprocess.run(["cat", f"{outside}/file"], capture_output=True)
attempt("child", lambda: print(child().returncode))
"""


def test_what_is_not_given_is_out_of_reach(tmp_path: Path) -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock)")
    folders = [tmp_path / name for name in ("read", "write", "outside")]
    for folder in folders:
        folder.mkdir()
        (folder / "file").write_text("text")
    (folders[1] / "link").symlink_to(folders[2] / "file")
    command = [sys.executable, "-c", _CONFINED, *map(os.fspath, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "read done",
        "read outside PermissionError",
        "write done",
        "write where it may read PermissionError",
        "write outside PermissionError",
        "follow a link PermissionError",
        "1",
        "child done",
    ]
