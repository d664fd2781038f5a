"""Which tests need a fetched kernel: they get the mark ``kernel``, and `make quick` omits them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_HARMLESS = frozenset({"KernelFiles", "SERIES"})
"""What can be imported of ``tests.support.kernels`` without a kernel: a type, a list of names."""
_OPENERS = frozenset({"open_kernel", "open_machine"})
"""Functions that boot a kernel."""


_FETCHED = frozenset({"tests/web", "tests/operations/dkms/test_against_dkms.py"})
"""Tests of the page, which is built with a Node from PyPI, and beside a dkms that is fetched."""


def needs_more(path: Path) -> bool:
    """Whether `make quick` leaves out a file or folder of tests: it needs more than is here."""
    if path.is_relative_to(_ROOT) and str(path.relative_to(_ROOT)) in _FETCHED:
        return True
    return path.suffix == ".py" and uses_kernel(path)


def mark_kernel(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that take the fixture ``kernel``, or whose file uses one by other ways."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "kernel" in fixtures or uses_kernel(item.path):
            item.add_marker(pytest.mark.kernel)


@functools.cache
def uses_kernel(path: Path) -> bool:
    """Whether a file, or one of tests/ that it imports from, fetches or boots a kernel."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        names = {name.name for name in node.names} - _HARMLESS
        if names & _OPENERS:
            return True
        if node.module == "tests.support.kernels" and names:
            return True
        modules = [node.module] if node.module.startswith("tests.") else []
        if node.module == "tests.support":
            modules = [f"tests.support.{name}" for name in names]
        for module in modules:
            imported = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
            if names and imported.exists() and imported != path and uses_kernel(imported):
                return True
    return False
