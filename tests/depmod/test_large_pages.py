"""What is read from files into memory of few large pieces."""

from __future__ import annotations

import os
import random
from pathlib import Path
from unittest.mock import patch

from lkm.depmod import large_pages as depmod_store
from lkm.depmod.large_pages import Store


def test_it_reads_as_pread_does(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(random.Random(1).randbytes(50_000))
    store = Store()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with patch.object(depmod_store, "_BLOCK", 10_000):
            spans = [(4000, 0), (6000, 44_000), (0, 7), (1, 49_999), (5000, 48_000), (30_000, 9)]
            # All of them stay what they were while others are read.
            read = [store.read(descriptor, size, offset) for size, offset in spans]
        assert [bytes(data) for data in read] == [os.pread(descriptor, *span) for span in spans]
        assert bytes(store.read(descriptor, 10, 60_000)) == b""
    finally:
        os.close(descriptor)
