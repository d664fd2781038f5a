"""What `make demo` runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parent.parent


def test_demo() -> None:
    lkm = Path(sys.executable).with_name("lkm")
    done = subprocess.run(
        [ROOT / "tools/demo"],
        env={**os.environ, "LKM": str(lkm)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    assert "hello: hello, big world (num=42, 4 primes)" in told
    assert "read  /dev/hello: kept by the kernel" in told
    assert "read  num: 7" in told
    assert "→ leak" in told
    assert "→ crash" in told
    assert "needs  raid6_pq: btrfs needs it" in told
    assert "registered  file system btrfs" in told
