"""Make a dkms.conf for a source tree that has a kbuild file."""

from __future__ import annotations

import os
import re

from lkm import files
from lkm.errors import NotFoundError, UsageError

_OBJECTS = re.compile(r"^\s*obj-(?:m|\$\(\w+\))\s*[:+]?=\s*(.*)$", re.MULTILINE)
_WORD = re.compile(r"^([A-Za-z0-9_-]+)\.o$")
_FOLDER = re.compile(r"^([A-Za-z0-9_/-]+)/$")
_VERSION = re.compile(r'MODULE_VERSION\s*\(\s*"([^"]+)"')
_KBUILD = ("Kbuild", "Makefile")
_LARGEST = 1 << 20


def modules_of(folder: str, below: str = "") -> list[tuple[str, str]]:
    """Return the modules that a folder's kbuild files name: (folder below, name)."""
    text = _read_first([f"{folder}/{below}{name}" for name in _KBUILD]).replace("\\\n", " ")
    found: list[tuple[str, str]] = []
    for line in _OBJECTS.findall(text):
        for word in line.partition("#")[0].split():
            module, inner = _WORD.match(word), _FOLDER.match(word)
            if module:
                found.append((below, module.group(1)))
            elif inner and ".." not in word:
                found += modules_of(folder, f"{below}{inner.group(1)}/")
    return list(dict.fromkeys(found))


def describe(folder: str, *, name: str = "", version: str = "") -> str:
    """Return the text of a dkms.conf for ``folder``; raises ``NotFoundError`` without modules."""
    found = modules_of(folder)
    if not found:
        raise NotFoundError(
            f"{folder}: no Kbuild or Makefile there names a module (obj-m := NAME.o)",
            hint="lkm new makes a module to begin with",
        )
    name = name or re.sub(r"-[0-9][\w.]*$", "", os.path.basename(os.path.abspath(folder)))
    lines = [f'PACKAGE_NAME="{name}"', f'PACKAGE_VERSION="{version or _source_version(folder)}"']
    for index, (below, module) in enumerate(found):
        lines.append(f'BUILT_MODULE_NAME[{index}]="{module}"')
        if below:
            lines.append(f'BUILT_MODULE_LOCATION[{index}]="{below}"')
        lines.append(f'DEST_MODULE_LOCATION[{index}]="/kernel/extra"')
    lines.append('AUTOINSTALL="yes"')
    return "\n".join(lines) + "\n"


def write(folder: str, *, name: str = "", version: str = "", replace: bool = False) -> str:
    """Write ``folder``'s dkms.conf and return its path."""
    path = f"{folder.rstrip('/')}/dkms.conf"
    if os.path.exists(path) and not replace:
        raise UsageError(f"{path} is there already", hint="--force replaces it")
    files.write_atomic(path, describe(folder, name=name, version=version).encode())
    return path


def _source_version(folder: str) -> str:
    for name in sorted(os.listdir(folder)):
        if name.endswith(".c"):
            match = _VERSION.search(_read_first([f"{folder}/{name}"]))
            if match:
                return match.group(1)
    return "1.0"


def _read_first(paths: list[str]) -> str:
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(_LARGEST)
        except OSError:
            continue
    return ""
