"""An unmodified distribution kernel, booted in the Unicorn emulator inside this process.

Python models the machine (processor exceptions, interrupt controller, clock, ports) and takes the
place of user space; the kernel links, verifies, taints and logs as it does anywhere else. Ring 3
never runs: when a task is about to return to user mode the emulation stops, and a Python program
says which system call that task makes next.
"""

from __future__ import annotations

from lkm.kernel.emulated.opening import open_machine

__all__ = ["open_machine"]
