"""How much the page weighs, compressed."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

KB = 1000


def weight(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 9))


def test_the_page_is_light(built: Path) -> None:
    index = (built / "index.html").read_text()
    entry = [built / name for name in re.findall(r'(?:src|href)="\./([^"]+\.(?:js|css))"', index)]
    assert len(entry) == 2
    assert weight(built / "index.html") + sum(map(weight, entry)) <= 40 * KB
    parts = [*(built / "assets").glob("*.js"), *(built / "assets").glob("*.css")]
    graph = [part for part in parts if part.name.startswith("Needs")]
    assert graph
    assert sum(weight(part) for part in parts if part not in graph) <= 150 * KB


def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    for file in built.rglob("*.html"):
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", file.read_text())
    for file in built.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", file.read_text())


def test_the_lock_file_names_no_registry() -> None:
    lock = Path(__file__).parents[3] / "src/lkm/web/ui/package-lock.json"
    assert '"resolved"' not in lock.read_text()
