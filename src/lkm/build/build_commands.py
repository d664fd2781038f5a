"""Running the commands of a build: their environment, what they may not do, what they said."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lkm.build.ways import BuildTarget, BuildWay
from lkm.errors import ToolError

# Not those of a make that lkm itself is run by, nor what dkms too takes out.
_DROPPED_NAMES = """
    MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES KERNELRELEASE CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
    KCFLAGS KBUILD_OUTPUT O M
"""
_DROPPED = frozenset(_DROPPED_NAMES.split())
# A default target may install, too; a build by us changes nothing on this machine.
_NOT_RUN = ("sudo", "insmod", "rmmod", "modprobe", "depmod", "dkms", "update-initramfs")
_UNAME = """#!/bin/sh
case "$*" in
-r|--kernel-release) echo {release} ;;
*) exec {uname} "$@" ;;
esac
"""
_MOST_OUTPUT = 16 << 20


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The command that was last run, its exit status, and what all of them printed."""

    command: tuple[str, ...]
    status: int
    output: str


def run(
    way: BuildWay, target: BuildTarget, variables: tuple[str, ...], programs: Path
) -> CommandResult:
    """Run a way's commands, until one fails.

    ``variables`` (NAME=VALUE) are given to every make; ``programs`` is a folder of our own that
    comes first in PATH. Raises ToolError when a command is not installed.
    """
    _make_programs(programs, target.release)
    given = (*target.tools.variables, *way.variables, *variables)
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    environment |= way.environment
    environment |= {
        "PATH": f"{programs}:{environment.get('PATH', os.defpath)}",
        "PWD": os.fspath(way.folder),
        "MAKEFLAGS": f"s -j{os.cpu_count() or 1} -- {' '.join(map(_escaped, given))}",
    }
    said = []
    status, command = 0, way.commands[-1]
    for command in way.commands:
        status, output = _run(command, way.folder, environment)
        said.append(output)
        if status:
            break
    return CommandResult(command, status, "".join(said))


def _run(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(
            f"{command[0]} is not installed", command=command, hint="apt install make gcc patch"
        ) from None
    return done.returncode, done.stdout[-_MOST_OUTPUT:].decode("utf-8", "replace")


def _make_programs(folder: Path, release: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    uname = next((p for p in ("/usr/bin/uname", "/bin/uname") if os.path.exists(p)), "uname")
    texts = {name: f'#!/bin/sh\necho "{name} is not run by a build"\n' for name in _NOT_RUN}
    texts["uname"] = _UNAME.format(release=release, uname=uname)
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            path.chmod(0o755)


def _escaped(variable: str) -> str:
    """Return a variable as make reads it in MAKEFLAGS: blanks and backslashes escaped."""
    return variable.replace("\\", "\\\\").replace(" ", "\\ ").replace("$", "$$")
