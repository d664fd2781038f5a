"""Names that tell things apart: a class is called by one name in the whole project."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/lkm"


def test_a_class_name_stands_for_one_class() -> None:
    defined = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: places for name, places in defined.items() if len(places) > 1} == {}


def test_no_folder_holds_more_than_thirty_files() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py") if "ui" not in path.parts}
    sizes = {str(f.relative_to(SOURCE)): len([*f.glob("*.py")]) - 1 for f in folders}
    assert {folder: size for folder, size in sizes.items() if size > 30} == {}
