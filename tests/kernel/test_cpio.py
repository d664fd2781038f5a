from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from lkm.kernel import cpio

ENTRIES = (
    cpio.regular("init", b"#!/bin/sh\n", 0o755),
    cpio.regular("lib/modules/x/modules.dep", b"a.ko:\n"),
    cpio.directory("lib", 0o700),
    cpio.symlink("sbin/init", "../init"),
    cpio.directory("proc"),
    cpio.character_device("dev/console", 5, 1),
)


def test_cpio_unpacks_what_was_packed(tmp_path: Path) -> None:
    without_devices = [entry for entry in ENTRIES if not stat.S_ISCHR(entry.mode)]
    subprocess.run(
        ["cpio", "-idm", "--quiet"],
        input=cpio.archive(without_devices),
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "init", os.X_OK)
    assert (tmp_path / "lib/modules/x/modules.dep").read_text() == "a.ko:\n"
    assert os.readlink(tmp_path / "sbin/init") == "../init"
    assert (tmp_path / "proc").is_dir()


def test_cpio_lists_devices_and_each_directory_once() -> None:
    listing = subprocess.run(
        ["cpio", "-itv", "--quiet"],
        input=cpio.archive(ENTRIES),
        capture_output=True,
        check=True,
    ).stdout.decode()
    names = [line.split()[-1] for line in listing.splitlines()]
    assert names.count("lib") == 1
    assert "crw-------" in listing
    assert "5,   1" in listing


def test_same_entries_give_the_same_bytes() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(iter(ENTRIES))
