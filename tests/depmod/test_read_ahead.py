"""Modules on the disk are fetched ahead of the one being read."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import time
from pathlib import Path

import pytest

from lkm.depmod.gather import scan_all
from lkm.depmod.read_ahead import ReadAhead
from tests.support.kernels import KernelFiles


@pytest.fixture
def folder(kernel: KernelFiles, tmp_path: Path) -> Path:
    """Sixty modules, none of which is in memory (unless the folder itself is there)."""
    for path in sorted(kernel.modules.rglob("*.ko"))[:60]:
        shutil.copy(path, tmp_path)
    os.sync()
    for path in tmp_path.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return tmp_path


def _first_is_in_memory(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a file system that cannot say
            raise
    finally:
        os.close(descriptor)
    return True


def test_the_rest_is_fetched(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    with ReadAhead(str(folder), names) as ahead:
        (folder / names[0]).read_bytes()
        ahead.after(1)
        waited = resource.getrusage(resource.RUSAGE_SELF).ru_inblock > before
        deadline = time.monotonic() + 20
        while waited and not _first_is_in_memory(folder / names[-1]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert _first_is_in_memory(folder / names[-1]) or not waited


def test_it_ends_when_the_reading_does(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    with ReadAhead(str(folder), [*names, "not-there.ko"] * 1000) as ahead:
        (folder / names[0]).read_bytes()
        ahead.after(1)
    assert _first_is_in_memory(folder / names[0])


def test_facts_are_those_of_modules_in_memory(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    cold = scan_all(str(folder), names, lambda done, total: None)
    assert cold == scan_all(str(folder), names, lambda done, total: None)
    assert len(cold) == len(names)
