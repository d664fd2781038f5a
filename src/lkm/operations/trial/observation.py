"""Observe a kernel before and after, to find what a module added and left behind.

Devices, drivers and classes announce themselves (uevents). What does not is looked for in the
few directories where modules put things, and in the lists under /proc.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lkm.errors import KernelDiedError
from lkm.kernel.kernel import Kernel
from lkm.kernel.uevent import Uevent

# Not those whose entries announce themselves: /dev, /sys/bus, /sys/class, /sys/module.
_DIRECTORIES = (
    *("/proc", "/proc/bus", "/proc/driver", "/proc/fs", "/proc/net"),
    *("/proc/sys", "/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/net", "/proc/sys/net/ipv4"),
    *("/sys/firmware", "/sys/fs", "/sys/kernel", "/sys/kernel/config", "/sys/kernel/debug"),
)
_LONGEST_LIST = 1 << 20


@dataclass(frozen=True, slots=True)
class ObservedEntry:
    """A path of the kernel's own file systems; ``kind`` in words (``character device 10:124``)."""

    path: str
    kind: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Registration:
    """Something registered with a part of the kernel: of what ``kind``, and its name there."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The paths and registrations seen at one time."""

    paths: frozenset[str]
    registrations: frozenset[Registration]
    problems: tuple[str, ...] = ()


def observe(kernel: Kernel, *, careful: bool = False) -> Observation:
    """Look at ``kernel`` once; what it does not show (no debugfs) is left out.

    ``careful`` reads each list in a task of its own: where a module left something behind, the
    kernel may oops over it.
    """
    if not careful:
        texts = kernel.read_texts(tuple(_LISTS))
        return Observation(frozenset(_paths(kernel)), frozenset(_registrations(texts)))
    texts, problems = {}, []
    for path in _LISTS:
        reading = kernel.syscalls.read_in_task(path, os.O_RDONLY | os.O_CLOEXEC, _LONGEST_LIST)
        if reading.signal:
            problems.append(f"reading {path} crashes since then")
        elif not reading.errno:
            texts[path] = reading.data.decode("utf-8", "replace")
    registered = frozenset(_registrations(texts))
    return Observation(frozenset(_paths(kernel)), registered, tuple(problems))


def _paths(kernel: Kernel) -> Iterator[str]:
    for directory, names in kernel.list_directories(_DIRECTORIES).items():
        for name in names:
            if not (directory == "/proc" and name.isdigit()):
                yield f"{directory}/{name}"


def new_entries(
    kernel: Kernel, before: Observation, after: Observation, events: Iterable[Uevent]
) -> tuple[ObservedEntry, ...]:
    """Return the paths that came between two observations, sorted, those that still are there."""
    announced = {}
    for event in events:
        announced[f"/sys{event.path}"] = event
        if event.get("DEVNAME"):
            announced[f"/dev/{event.get('DEVNAME')}"] = event
    paths = (after.paths - before.paths) | announced.keys()
    found = (_entry(kernel, path, announced.get(path)) for path in sorted(paths))
    return tuple(entry for entry in found if entry is not None)


def _entry(kernel: Kernel, path: str, event: Uevent | None) -> ObservedEntry | None:
    try:
        status = kernel.stat(path, follow=False)
    except KernelDiedError:
        raise
    except OSError:
        return None
    major, minor = status.rdev
    if stat.S_ISCHR(status.mode):
        return ObservedEntry(path, f"character device {major}:{minor}")
    if stat.S_ISBLK(status.mode):
        return ObservedEntry(path, f"block device {major}:{minor}")
    if event is not None and event.get("SUBSYSTEM"):
        return ObservedEntry(path, event.get("SUBSYSTEM"))
    return ObservedEntry(path, "directory" if status.is_directory else "")


def _registrations(texts: dict[str, str]) -> Iterator[Registration]:
    for path, text in texts.items():
        yield from _LISTS[path](text)


def _of_devices(text: str) -> Iterator[Registration]:
    kind = ""
    for line in text.splitlines():
        if line.endswith("devices:"):
            kind = line.split()[0].lower()
        elif line.strip():
            number, _, name = line.strip().partition(" ")
            yield Registration(f"{kind} major number", f"{number} {name}")


def _of_lines(kind: str, pattern: str) -> Callable[[str], Iterator[Registration]]:
    form = re.compile(pattern, re.MULTILINE)

    def read(text: str) -> Iterator[Registration]:
        for match in form.finditer(text):
            yield Registration(kind, " ".join(match[1].split()))

    return read


_LISTS: dict[str, Callable[[str], Iterator[Registration]]] = {
    "/proc/devices": _of_devices,
    "/proc/misc": _of_lines("misc device", r"^ *(\d+ .+)$"),
    "/proc/filesystems": _of_lines("file system", r"^(?:nodev)?\t(.+)$"),
    "/proc/crypto": _of_lines("crypto driver", r"^driver +: (.+)$"),
    "/proc/net/protocols": _of_lines("network protocol", r"^(\S+) +\d"),
    "/proc/interrupts": _of_lines("interrupt", r"^ *(\d+):.*?  (\S+.*)$"),
    "/proc/iomem": _of_lines("memory region", r"^ *[0-9a-f]+-[0-9a-f]+ : (.+)$"),
    "/proc/ioports": _of_lines("I/O ports", r"^ *([0-9a-f]+-[0-9a-f]+ : .+)$"),
}
