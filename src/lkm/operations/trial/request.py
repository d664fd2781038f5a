"""What the caller asks a trial to do: the module, the kernel, the steps, and what to watch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do while the module is loaded.

    ``set`` a parameter of it, ``read`` a file or (without a slash) a parameter, ``write`` to one,
    ``open`` a device and keep it open until it is told to ``close`` it, try to ``unload`` the
    module, which the kernel may refuse. ``ioctl`` makes one of a device (see
    ``lkm.operations.trial.actions``), ``mount`` mounts a file system until the end, ``run`` runs a
    program in a virtual machine.
    """

    kind: Literal["set", "read", "write", "open", "close", "unload", "ioctl", "mount", "run"]
    target: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Procedure:
    """What is to be done with the module: switches first, load, actions in order, unload.

    Actions are taken one by one, so that what comes next may depend on what came of the last.
    ``wait`` are the seconds of the kernel's own time that pass after loading and after unloading.
    All of it may take ``timeout`` seconds of wall time, from when the kernel is ready.
    """

    parameters: tuple[str, ...] = ()
    actions: Iterable[Action] = ()
    sig_enforce: bool = False
    lockdown: bool = False
    keep: bool = False
    wait: float = 1.0
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Watching:
    """What to watch for; ``fail`` is the allocation to fail, from 1; 0: none.

    The emulated kernel guards the module's memory and holds it to the kernel's rules, but for
    ``fast``; ``guard`` asks for that explicitly, which other kernels refuse.
    ``stages`` tells of the kernel's own functions on the module's way, ``memory`` where its
    sections are put.
    """

    guard: bool = False
    trace: bool = False
    fail: int = 0
    fast: bool = False
    stages: bool = False
    memory: bool = False

    @property
    def checks(self) -> bool:
        """Whether the module's memory is guarded and the kernel's rules are checked."""
        return self.guard or not self.fast


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """What to try and how.

    ``what`` is a module file, a .c file, a folder of source, or a module's name; ``kernel`` as for
    ``open_kernel``; ``select`` names the one to try where a folder builds several: else all are,
    each in a kernel of its own. ``make`` are variables for make, ``in_place`` builds in the
    source's own folder, ``compile_commands`` is a file to write for editors, empty for none.
    ``watching`` and ``fail_each`` (fail each of its allocations in turn) take the emulated kernel.
    """

    what: str
    procedure: Procedure = field(default_factory=Procedure)
    kernel: str = "emulated"
    select: str = ""
    fetch: bool = False
    watching: Watching = field(default_factory=Watching)
    fail_each: bool = False
    make: tuple[str, ...] = ()
    in_place: bool = False
    compile_commands: str = ""
