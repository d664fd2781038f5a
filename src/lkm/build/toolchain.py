"""Build with this machine's compiler where the one a kernel was built with is not installed.

A kernel's headers name its own compiler (``gcc-10``) and options that only such a compiler has.
Modules built by another version load as well, so kbuild is told to use what is here.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lkm.vmlinux import config

# What the kernel's compiler can and ours perhaps cannot: the option of Kconfig, the compiler's.
_FEATURES = {"CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT": "-fmin-function-alignment=16"}
_PAHOLE = "CONFIG_PAHOLE_VERSION"
_TYPE_DATA = "CONFIG_DEBUG_INFO_BTF_MODULES"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Variables for make's command line, and a line that says what is not as the kernel's was.

    ``missing`` is the program without which nothing can be built, empty when all are here.
    """

    variables: tuple[str, ...]
    note: str
    missing: str = ""


def choose(headers: Path) -> Toolchain:
    """Return how the headers in ``headers`` can be built with; nothing where all is there."""
    options = _options(headers)
    variables = [] if _has_pahole(options.get(_PAHOLE, "")) else [f"{_TYPE_DATA}="]
    if options.get("CONFIG_CC_IS_CLANG") == "y":
        return _clang(options, variables)
    named = options.get("CONFIG_CC_VERSION_TEXT", "").partition(" ")[0]
    ours = shutil.which("gcc")
    if not named.startswith(("gcc", "x86_64-linux-gnu-gcc")) or shutil.which(named) or not ours:
        return Toolchain(tuple(variables), "")
    variables.append("CC=gcc")
    variables += [
        f"{option}=" for option, flag in _FEATURES.items()
        if options.get(option) == "y" and not _takes(ours, flag)
    ]  # fmt: skip
    return Toolchain(tuple(variables), f"the kernel's compiler {named} is not here: built with gcc")


def _clang(options: Mapping[str, str], variables: list[str]) -> Toolchain:
    """Return how a kernel built by clang is built for: with clang of its version, or any."""
    version = re.search(r"clang version (\d+)", options.get("CONFIG_CC_VERSION_TEXT", ""))
    linker = "ld.lld" if options.get("CONFIG_LD_IS_LLD") == "y" else ""
    suffixes = [f"-{version[1]}" if version else "", "", *(f"-{n}" for n in range(30, 10, -1))]
    for suffix in suffixes:
        programs = [f"clang{suffix}", f"{linker}{suffix}"] if linker else [f"clang{suffix}"]
        if all(shutil.which(program) for program in programs):
            whole = linker and shutil.which(f"llvm-objcopy{suffix}")
            chosen = [f"LLVM={suffix or 1}"] if whole else [f"CC=clang{suffix}"]
            if linker and not whole:
                chosen.append(f"LD={linker}{suffix}")
            named = f"clang{suffixes[0]}"
            same = suffix == suffixes[0] or not suffix
            note = "" if same else f"the kernel's compiler {named} is not here: clang{suffix}"
            return Toolchain((*variables, *chosen), note)
    return Toolchain(tuple(variables), "", "clang")


def _options(headers: Path) -> Mapping[str, str]:
    for name in (".config", "include/config/auto.conf"):
        with contextlib.suppress(OSError):
            text = (headers / name).read_text(encoding="utf-8", errors="replace")
            return config.parse(text)
    return {}


def _has_pahole(wanted: str) -> bool:
    """Whether there is a pahole, and none older than the kernel's own, whose options it is given.

    Without, a module has no type data, and loads as well.
    """
    if shutil.which("pahole") is None:
        return False
    said = subprocess.run(["pahole", "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.(\d+)", said.stdout)
    return not wanted or (found is not None and int(found[1]) * 100 + int(found[2]) >= int(wanted))


def _takes(compiler: str, flag: str) -> bool:
    command = [compiler, flag, "-E", "-x", "c", "/dev/null"]
    return not subprocess.run(command, capture_output=True, check=False).returncode
