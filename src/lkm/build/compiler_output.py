"""What make and the compiler said, as if they had worked on the author's own files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

# Said even where none is used.
_OTHER_PAHOLE = re.compile(r"warning: pahole version differs .*\n(?:  .*: +\d+\n){2}")
_RELATIVE = re.compile(r"(?:^|(?<= from ))\w[\w./+-]*(?=:\d+[:,])", re.MULTILINE)
_MAKE = re.compile(r"g?make(\[\d+\])?: ")
_NOISE = ("Skipping BTF generation", "  CC [M]  ", "  LD [M]  ", "  MODPOST ", "  BTF [M] ")
_ERROR = re.compile(
    r"(?:error|Error): |\bfatal error\b|^ERROR: |\bundefined reference\b|\*\*\* |"
    r"(?:command )?not found|No such file or directory",
)
_COMPILER_ERROR = re.compile(r"^\S[^\n]*?: (?:fatal )?error: |^ERROR: modpost", re.MULTILINE)


def as_of_source(output: str, places: Sequence[tuple[str, str]], folder: Path) -> str:
    """Return the output with the author's files in place of copies, without what is not of them.

    ``places`` are pairs of a folder and what it stands for; ``folder`` is where make was run.
    """
    for place, original in places:
        output = output.replace(f"{place}/", f"{original}/")
    for place, original in places:
        output = re.sub(rf"{re.escape(place)}(?![\w.-])", original.replace("\\", r"\\"), output)
    own = next((o + os.fspath(folder)[len(p) :] for p, o in places if _below(folder, p)), "")

    def absolute(match: re.Match[str]) -> str:
        found = folder / match[0]
        linked = match[0].partition("/")[2]
        if found.is_file() and own:
            # A single file's own headers are behind a link in the folder.
            return f"{own}/{linked}" if _is_link(folder, match[0]) else f"{own}/{match[0]}"
        return match[0]

    output = _RELATIVE.sub(absolute, output)
    output = _OTHER_PAHOLE.sub("", output)
    said = [line for line in output.splitlines(keepends=True) if not line.startswith(_NOISE)]
    # make repeats at each level that a compiler failed; where none did, its words are all.
    compilers = [line for line in said if not _MAKE.match(line)]
    return "".join(compilers if has_errors("".join(compilers)) or not _failed(said) else said)


def _below(folder: Path, place: str) -> bool:
    return os.fspath(folder) == place or os.fspath(folder).startswith(f"{place}/")


def _is_link(folder: Path, name: str) -> bool:
    first = name.partition("/")[0]
    return "/" in name and (folder / first).is_symlink()


def _failed(lines: Sequence[str]) -> bool:
    return any("*** " in line and _MAKE.match(line) for line in lines)


def has_errors(output: str) -> bool:
    """Whether a compiler, or modpost, reported an error, so that it was not make's alone."""
    return bool(_COMPILER_ERROR.search(output))


def decisive_line(output: str) -> str:
    """Return the first line that says why a build failed; empty where none does."""
    lines = [line.strip() for line in output.splitlines()]
    compilers = [line for line in lines if has_errors(line)]
    return next(iter(compilers), next((line for line in lines if _ERROR.search(line)), ""))
