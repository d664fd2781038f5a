"""Which configuration files count, and their logical lines, as kmod reads both.

Source: kmod's ``libkmod/libkmod-config.c: kmod_config_new`` and
``shared/util.c: freadline_wrapped``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MODPROBE_SUFFIXES = (".conf", ".alias")
_SHORTEST_NAME = 6  # kmod takes no name shorter than "a.conf"
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TOKEN = re.compile(rb"[\t ]*([^\t ]+)[\t ]?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a rule was written: a file and the (first) line, or a file alone (line 0)."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file; ``masked_by`` is the file of the same name that takes its place."""

    path: str
    masked_by: str = ""


def find_files(
    paths: Iterable[str], suffixes: Sequence[str] = MODPROBE_SUFFIXES, extra: Sequence[str] = ()
) -> tuple[ConfigFile, ...]:
    """Return the files of ``paths`` (directories, the strongest first, or files) in reading order.

    That order is by name over all directories; of equal names the first directory's counts, and
    the others follow it marked as masked. ``extra`` are files that need not exist and take part
    by their names, before all directories.
    """
    by_name: dict[str, list[str]] = {os.path.basename(path): [path] for path in extra}
    for path in paths:
        for name, file in _files_of(path, suffixes):
            by_name.setdefault(name, []).append(file)
    return tuple(
        ConfigFile(file, files[0] if place else "")
        for _, files in sorted(by_name.items(), key=lambda item: os.fsencode(item[0]))
        for place, file in enumerate(files)
    )


def _files_of(path: str, suffixes: Sequence[str]) -> Iterator[tuple[str, str]]:
    try:
        names = os.listdir(path)
    except NotADirectoryError:
        yield os.path.basename(path), path
        return
    except OSError:
        return  # absent directories are the rule, unreadable ones kmod passes over too
    for name in names:
        file = f"{path}/{name}"
        long_enough = len(name) >= _SHORTEST_NAME and not name.startswith(".")
        if long_enough and name.endswith(tuple(suffixes)) and not os.path.isdir(file):
            yield name, file


def logical_lines(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the first and last physical line number and the text of each logical line.

    A backslash before a line's end continues it; before anything else it only disappears. A NUL
    ends the text, as in C.
    """
    physical = data.split(b"\n")
    first = 1
    collected: list[bytes] = []
    for number, line in enumerate(physical, 1):
        last = number == len(physical)
        text, continued = _unescaped(line)
        if continued and not last:
            collected.append(text)
            continue
        if continued:
            text += b"\xff"  # kmod stores the end-of-file mark as a character
        whole = b"".join(collected) + text
        if whole or not last:
            yield first, number, whole.partition(b"\0")[0]
        collected.clear()
        first = number + 1


def _unescaped(line: bytes) -> tuple[bytes, bool]:
    """Return a physical line without its escaping backslashes, and whether one continues it."""
    if b"\\" not in line:
        return line, False
    continued = (len(line) - len(line.rstrip(b"\\"))) % 2 == 1
    text = _ESCAPED.sub(rb"\1", line)
    return (text[:-1] if continued else text), continued


def next_word(text: bytes) -> tuple[bytes | None, bytes]:
    """Return the first word of ``text`` and what follows one blank after it (C's strtok_r)."""
    match = _TOKEN.match(text)
    return (match[1], match[2]) if match else (None, b"")


def read_bytes(path: str) -> bytes | None:
    """Return a file's bytes, or ``None`` when it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return None
