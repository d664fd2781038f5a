"""An unmodified distribution kernel, booted in the Unicorn emulator inside this process.

Python models the machine (processor exceptions, interrupt controller, clock, ports) and takes the
place of user space; the kernel links, verifies, taints and logs as it does anywhere else. Ring 3
never runs: when a task is about to return to user mode the emulation stops, and a Python program
says which system call that task makes next.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from lkm.errors import missing_extra

if TYPE_CHECKING:
    from lkm.kernel.emulated.machine import EmulatedMachine

__all__ = ["open_machine"]


def open_machine(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    command_line: str = "",
    progress: Callable[[str], None] | None = None,
) -> EmulatedMachine:
    """Return a machine that runs the kernel in a vmlinuz or vmlinux file.

    ``root`` is the root directory whose modules answer when the kernel asks for one;
    ``command_line`` is added to the machine's own; ``progress`` is told what takes long. The first
    time a kernel is booted (seconds), then its snapshot is restored (milliseconds). Raises
    ``UnsupportedError`` for a kernel that cannot be emulated, ``ToolError`` without Unicorn.
    """
    try:
        import unicorn  # noqa: F401 - an extra
    except ImportError:
        raise missing_extra("unicorn", "emulated") from None
    from lkm.kernel.emulated import opening  # imports Unicorn

    return opening.open_machine(path, root=root, command_line=command_line, progress=progress)
