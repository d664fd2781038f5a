"""Machines behind Secure Boot: restored from a snapshot, booted anew, led through MokManager."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from lkm.errors import KernelDiedError, NotFoundError
from lkm.kernel.vm import firmware, medium, snapshot
from lkm.kernel.vm.accelerator import TCG
from lkm.kernel.vm.connection import Connection, last_lines
from lkm.kernel.vm.machine import VirtualMachine
from lkm.kernel.vm.process import QemuProcess
from lkm.kernel.vm.profile import Profile
from lkm.kernel.vm.snapshot import Progress
from lkm.kernels.known import KnownKernel

_MEMORY = 512
_SCREEN_LIMIT = 120.0
_KEY_SECONDS = 0.03
_KEY_GAP = 0.15  # a screen that is being drawn loses keys that come faster
_POLL_SECONDS = 0.1
_ESCAPE = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")


class ConsoleScreen(Protocol):
    """A firmware screen: a text that is on it, and the keys that lead on, each a chord."""

    @property
    def text(self) -> str:
        """A text by which it is recognised."""
        ...

    @property
    def keys(self) -> Sequence[Sequence[str]]:
        """The chords, in QEMU's names of keys."""
        ...


AnyScreen = TypeVar("AnyScreen", bound=ConsoleScreen)


def profile_of(kernel: KnownKernel, variables: bytes | None = None) -> Profile:
    """Return the machine that starts ``kernel`` through shim and GRUB.

    ``variables`` is the content of the firmware's variable store, by default one that holds the
    vendor's keys and no MOK. Raises ToolError when a part of the chain is not installed.
    """
    if kernel.vmlinuz is None:
        raise NotFoundError(f"the image of kernel {kernel.release} is not here")
    return Profile(
        kernel.release,
        Path(kernel.vmlinuz),
        kernel.modules,
        memory=_MEMORY,
        firmware=firmware.find(variables),
    )


def open_machine(profile: Profile, progress: Progress | None = None) -> VirtualMachine:
    """Return a fresh machine, from its snapshot if there is one."""
    return VirtualMachine(profile, snapshot.start(profile, progress))


def boot_machine(profile: Profile, variables: int) -> VirtualMachine:
    """Boot a machine whose variable store is the open file ``variables``, which it may change."""
    process, media = _start(profile, variables)
    with media:
        connection = Connection(process, f"vm:{profile.release}")
        connection.request("ping", limit=snapshot.BOOT_LIMIT)
        return VirtualMachine(profile, connection)


def walk_through(
    profile: Profile, variables: int, screens: Iterable[AnyScreen]
) -> Iterator[AnyScreen]:
    """Boot, yield each screen once it is there, press its keys; then wait for the reboot.

    The variable store in ``variables`` is as the firmware then left it. Raises KernelDiedError
    with the console when a screen does not come.
    """
    process, media = _start(profile, variables)
    with media, contextlib.ExitStack() as stack:
        stack.callback(process.end)
        seen = 0
        for screen in screens:
            seen = _wait_for(process, screen.text, seen)
            yield screen
            for chord in screen.keys:
                _press(process, chord)
        if not process.wait(_SCREEN_LIMIT):
            raise _lost(process, "the reboot after the last screen")


def _start(
    profile: Profile, variables: int
) -> tuple[QemuProcess, contextlib.AbstractContextManager[object]]:
    with contextlib.ExitStack() as stack:
        media = stack.enter_context(medium.to_boot(profile, variables))
        ram = os.memfd_create("lkm-ram")
        stack.callback(os.close, ram)
        process = snapshot.launch(profile, TCG, ram, media)
        return process, stack.pop_all()
    raise AssertionError  # an ExitStack suppresses nothing


def _wait_for(process: QemuProcess, text: str, seen: int) -> int:
    """Wait until ``text`` is on the console after its first ``seen`` characters; return its end."""
    deadline = time.monotonic() + _SCREEN_LIMIT
    while time.monotonic() < deadline and not process.has_ended():
        console = _ESCAPE.sub("", process.console.text())
        place = console.find(text, seen)
        if place >= 0:
            time.sleep(_KEY_GAP * 2)
            return place + len(text)
        time.sleep(_POLL_SECONDS)
    raise _lost(process, f"the screen “{text}”")


def _lost(process: QemuProcess, what: str) -> KernelDiedError:
    console = _ESCAPE.sub("\n", process.console.text())
    return KernelDiedError(
        "booting through MokManager", f"{what} did not come", log=last_lines(console)
    )


def _press(process: QemuProcess, chord: Sequence[str]) -> None:
    process.qmp.execute(
        "send-key",
        keys=[{"type": "qcode", "data": key} for key in chord],
        **{"hold-time": round(_KEY_SECONDS * 1000)},
    )
    time.sleep(_KEY_GAP)
