"""depmod.d: where modules are searched, and which of several wins.

Source of the format: kmod's ``tools/depmod.c: cfg_file_parse``; files are found as modprobe's are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from lkm.tree.config import BadLine
from lkm.tree.config_files import Source, find_files, logical_lines, next_word, read_bytes

_LEAST_WORDS = {"search": 0, "override": 3, "external": 2, "exclude": 0}
_NOT_IMPLEMENTED = frozenset({b"include", b"make_map_files"})


@dataclass(frozen=True, slots=True)
class DepmodRule:
    """One rule: its kind (search, override, external, exclude) and the words after it."""

    kind: str
    words: tuple[str, ...]
    source: Source


def read_depmod_config(
    paths: Iterable[str],
) -> tuple[tuple[DepmodRule, ...], tuple[BadLine, ...]]:
    """Read ``paths`` (directories, the strongest first, or files) in depmod's order.

    The rules are not yet held against a kernel release.
    """
    rules: list[DepmodRule] = []
    bad: list[BadLine] = []
    for file in find_files(paths, suffixes=(".conf",)):
        data = None if file.masked_by else read_bytes(file.path)
        for first, last, line in logical_lines(data or b""):
            word, rest = next_word(line)
            if word is None or line.startswith(b"#"):
                continue
            kind = os.fsdecode(word)
            source = Source(file.path, first)
            words = tuple(os.fsdecode(w) for w in rest.replace(b"\t", b" ").split(b" ") if w)
            if len(words) >= _LEAST_WORDS.get(kind, len(words) + 1):
                rules.append(DepmodRule(kind, words, source))
            else:
                bad.append(BadLine(source, last, kind, word in _NOT_IMPLEMENTED))
    return tuple(rules), tuple(bad)
