"""``compile_commands.json`` of a build, by which editors and clang's tools find an author's flags.

Source: the ``.NAME.o.cmd`` files that ``scripts/basic/fixdep.c`` writes, read as the kernel's
``scripts/clang-tools/gen_compile_commands.py`` reads them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

_SAVED = re.compile(r"^(?:saved)?cmd_[^\n]*? := (.* )([^ \n]*\.[cS])[ ;]?.*$", re.MULTILINE)
_LONGEST = 1 << 22


def of_build(tree: Path, places: Sequence[tuple[str, str]], headers: Path) -> bytes:
    """Return the document for what was compiled below ``tree``; ``[]`` where nothing was.

    ``places`` are pairs of a folder and what it stands for. kbuild compiled in ``headers`` or,
    since Linux 6.13, in the module's folder: relative paths are found in either.
    """
    commands = []
    for path in sorted(tree.rglob(".*.o.cmd")):
        if path.stat().st_size > _LONGEST:
            continue
        match = _SAVED.search(path.read_text(encoding="utf-8", errors="replace"))
        if match is None or match[2].endswith(".mod.c"):
            continue
        inside = (path.parent / match[2]).is_file() and not match[2].startswith("/")
        directory = path.parent if inside else headers.resolve()
        source = os.path.normpath(directory / match[2])
        command = match[1] + source
        for place, original in places:
            source = source.replace(f"{place}/", f"{original}/")
            command = command.replace(f"{place}/", f"{original}/")
        folder = os.path.dirname(source) if inside else os.fspath(directory)
        commands.append({"command": command, "directory": folder, "file": source})
    return json.dumps(commands, indent=2).encode() + b"\n"
