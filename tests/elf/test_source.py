"""Files that claim to be larger than anything that is loaded: nothing of that size is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lkm.cli.main import run
from lkm.elf.source import LARGEST, FileSource, read_file
from lkm.errors import FormatError
from lkm.module.image import ModuleImage
from tests.support.huge import SECTIONS, enlarged


def test_the_largest_file(tmp_path: Path) -> None:
    path = tmp_path / "large.ko"
    path.touch()
    os.truncate(path, LARGEST)
    assert FileSource(str(path)).size == LARGEST
    os.truncate(path, LARGEST + 1)
    for read in (FileSource, read_file, ModuleImage.open):
        with pytest.raises(FormatError, match="less than 2 GiB, the most a kernel loads"):
            read(str(path))


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("command", ["inspect", "modinfo", "doctor", "try"])
def test_what_is_said_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, command: str
) -> None:
    assert run(["lkm", command, str(enlarged(section, tmp_path / "hello.ko"))]) == 1
    said = capsys.readouterr()
    assert "less than 2 GiB" in said.out + said.err
