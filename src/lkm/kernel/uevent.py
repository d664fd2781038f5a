"""Uevents: the kernel's messages to user space about its devices.

Source: ``lib/kobject_uevent.c: kobject_uevent_env`` (the message), ``netlink(7)`` (the socket).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.kernel.closing import Watch
from lkm.kernel.syscalls import Syscalls

_AF_NETLINK = 16
_NETLINK_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_MESSAGE_SIZE = 16384  # UEVENT_BUFFER_SIZE is 2048; some drivers' environments are larger


@dataclass(frozen=True, slots=True)
class Uevent:
    """One message: ``action`` (``add``, ``remove``, …), the object's path below /sys, its keys."""

    action: str
    path: str
    properties: tuple[tuple[str, str], ...]

    def get(self, key: str) -> str:
        """Return a property (``SUBSYSTEM``, ``DEVNAME``), empty when the message has none."""
        return next((value for name, value in self.properties if name == key), "")


def parse(message: bytes) -> Uevent | None:
    """Return the event in a message of the kernel, ``None`` for anything else (udev's are)."""
    head, *lines = message.decode("utf-8", "replace").split("\0")
    action, at, path = head.partition("@")
    if not at or not path.startswith("/"):
        return None
    pairs = (line.partition("=") for line in lines)
    return Uevent(action, path, tuple((key, value) for key, equals, value in pairs if equals))


class UeventWatch(Watch):
    """The uevents of a kernel from the moment this is made; none where no socket can be had."""

    def __init__(self, syscalls: Syscalls) -> None:
        super().__init__(syscalls)
        kind = socket.SOCK_RAW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            descriptor = syscalls.socket(_AF_NETLINK, kind, _NETLINK_KOBJECT_UEVENT)
            self._descriptor = descriptor
            # struct sockaddr_nl: family, padding, port (the kernel chooses), groups
            syscalls.bind(descriptor, struct.pack("=HHII", _AF_NETLINK, 0, 0, _KERNEL_GROUP))

    def new_events(self) -> tuple[Uevent, ...]:
        """Return the events since the watch began or was last asked."""
        return tuple(self._read())

    def _read(self) -> Iterator[Uevent]:
        if self._descriptor is None:
            return
        # EAGAIN: no more for now; ENOBUFS: some were lost, and more may be there next time.
        with contextlib.suppress(OSError):
            while message := self._syscalls.read(self._descriptor, _MESSAGE_SIZE):
                event = parse(message)
                if event is not None:
                    yield event
