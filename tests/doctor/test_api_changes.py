"""What is said to be gone from the kernel is not in later headers, and is in earlier ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lkm.doctor.api_changes import CHANGES, ApiChange
from lkm.kernels.known import known_kernels

GONE = [c for c in CHANGES.values() if c.what == "is gone" and not c.name.endswith(".h")]
HEADERS = {k.release: k.headers for k in known_kernels() if k.headers and k.fetched}


# Words that headers still have for something else: members of other structures, comments.
REUSED = {"setup_timer", "init_timer", "del_timer", "trans_start", "i_atime", "i_mtime", "i_ctime"}
# Names that came after the oldest kernel here.
CAME_LATER = {"blk_cleanup_disk": (5, 14), "dma_buf_map": (5, 11)}


def version(text: str) -> tuple[int, int]:
    major, minor = re.match(r"(\d+)\.(\d+)", text).groups()  # type: ignore[union-attr]
    return int(major), int(minor)


def words_of(headers: Path) -> set[str]:
    """Return the words of all headers of a kernel, of its common part as well."""
    # Debian's headers of an architecture stand beside those that all have in common.
    folders = [headers, *headers.resolve().parent.glob("linux-headers-*-common*")]
    words: set[str] = set()
    for folder in folders:
        for path in (folder / "include").rglob("*.h"):
            text = path.read_text(errors="replace")
            text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
            words.update(re.findall(r"[A-Za-z_]\w+", text))
    return words


def is_wrong(change: ApiChange, release: str, words: set[str]) -> bool:
    if change.name in REUSED or version(release) < CAME_LATER.get(change.name, (0, 0)):
        return False
    gone = version(release) >= version(change.release)
    return gone == (change.name in words)


@pytest.mark.parametrize("release", sorted(HEADERS))
def test_names_are_gone_when_it_is_said(release: str) -> None:
    headers = HEADERS[release]
    assert headers is not None
    words = words_of(headers)
    assert len(words) > 50_000
    wrong = [f"{c.name} {c.release}" for c in GONE if is_wrong(c, release, words)]
    assert wrong == []
