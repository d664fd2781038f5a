"""The kernel's present state is against it: already loaded, in use, no memory, init failed.

Source: ``kernel/module/main.c`` (add_unformed_module, delete_module, do_init_module).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM

from lkm.doctor.finding import Evidence, Finding, Fix, Severity, name_of


def already_loaded(module: str, state: str = "") -> Finding:
    """It is loaded already; modprobe calls that a success, insmod does not."""
    return Finding(
        "already-loaded",
        Severity.FATAL,
        f"{module} is loaded already",
        EEXIST,
        module=module,
        evidence=(Evidence("state", state, "/proc/modules"),) if state else (),
        fixes=(Fix("unload the one that is loaded first", (f"sudo rmmod {module}",)),),
    )


def stuck(module: str) -> Finding:
    """A module of that name is being loaded or unloaded and does not get to an end."""
    return Finding(
        "stuck",
        Severity.FATAL,
        f"{module} is there, but its init or exit never ended (it crashed or hangs)",
        EBUSY,
        module=module,
        fixes=(
            Fix(
                "nothing but a reboot takes it away; the log says where it stopped",
                ("sudo dmesg | lkm oops", "sudo reboot"),
            ),
        ),
    )


def in_use(
    module: str, holders: Sequence[str] = (), users: Sequence[str] = (), refcount: int = 0
) -> Finding:
    """It cannot be unloaded; ``users`` are processes and mounts that hold it open."""
    evidence = [Evidence("used by the module", name) for name in holders]
    evidence += [Evidence("used by", text) for text in users]
    if refcount:
        evidence.append(Evidence("reference count", str(refcount)))
    fixes = []
    if holders:
        fixes.append(
            Fix("unload what uses it first", (f"sudo rmmod {' '.join([*holders, module])}",))
        )
    if users or not holders:
        fixes.append(
            Fix(
                "end what uses it: close its devices, unmount its file systems, take its "
                "interfaces down; then unload",
                (f"lkm doctor {module} --in-use", f"sudo modprobe -r {module}"),
            )
        )
    by = f" by {', '.join(holders)}" if holders else ""
    return Finding(
        "in-use",
        Severity.FATAL,
        f"{module} is in use{by}",
        EAGAIN,
        module=module,
        evidence=tuple(evidence),
        fixes=tuple(fixes),
    )


def no_exit(module: str) -> Finding:
    """Unloading is refused: the module has no exit function, or is stuck in its init."""
    return Finding(
        "cannot-unload",
        Severity.FATAL,
        f"{module} cannot be unloaded: it has no exit function, or its init has not ended",
        EBUSY,
        module=module,
        evidence=(),
        fixes=(
            Fix("see its state; Live means it has no exit function", (f"lkm state {module}",)),
            Fix("force it, at the risk of a crash, or reboot", (f"sudo rmmod --force {module}",)),
        ),
    )


def not_loaded(module: str) -> Finding:
    """There is nothing to unload."""
    return Finding(
        "not-loaded",
        Severity.FATAL,
        f"{module} is not loaded",
        ENOENT,
        module=module,
        fixes=(Fix("see what is loaded", ("lsmod",)),),
    )


_INIT_CAUSES = {
    ENODEV: "it found no device it can drive",
    EBUSY: "something it needs is taken: an address, an interrupt, a name, a major number; newer "
    "kernels (seen in 7.3) also say so where init returned EEXIST",
    ENOMEM: "it could not get memory",
    ENOENT: "something it looked up is not there, such as firmware or a file",
    517: "it waits for another driver (EPROBE_DEFER)",
    19: "it found no device it can drive",
}


def init_returned(module: str, errno: int) -> Finding:
    """The module linked well; its own init function refused, for its own reason."""
    likely = _INIT_CAUSES.get(errno)
    return Finding(
        "init-failed",
        Severity.FATAL,
        f"the module's own init function returned {name_of(errno)}"
        + (f": {likely}" if likely else ""),
        errno,
        module=module,
        evidence=(Evidence("errno", f"{errno} {os.strerror(errno)}"),),
        fixes=(
            Fix(
                "read what it logged, and switch its debug messages on",
                ("sudo dmesg | tail -20", f"sudo modprobe {module} dyndbg=+p"),
            ),
        ),
    )


def init_positive(module: str, value: int, message: str) -> Finding:
    """Init returned a positive number: it loads, before 7.x with a trace like a crash's."""
    return Finding(
        "init-positive",
        Severity.WARNING,
        f"the module's init function returned {value}; it should return 0 or a negative errno. "
        "The module is loaded; a trace that follows is no crash",
        0,
        message,
        module=module,
        fixes=(Fix("return 0 at the end of the init function"),),
    )


def no_memory(module: str) -> Finding:
    """The kernel found no room for the module."""
    return Finding(
        "no-memory",
        Severity.FATAL,
        "the kernel has no room for the module: the module area or per-cpu space is used up, "
        "or memory is",
        ENOMEM,
        module=module,
        fixes=(
            Fix(
                "see what fills it",
                ("grep -c . /proc/modules", "grep module_alloc /proc/vmallocinfo", "free -m"),
            ),
        ),
    )


def init_crashed(module: str, signal: int = 9) -> Finding:
    """The module's init oopsed (SIGKILL) or hit a BUG (SIGSEGV)."""
    return Finding(
        "init-crashed",
        Severity.FATAL,
        f"the module's init function crashed; {module} stays in state Loading until a reboot",
        0,
        module=module,
        evidence=(Evidence("signal", str(signal)),),
        fixes=(Fix("see where", ("sudo dmesg | lkm oops",)),),
    )


def sysfs_failed(module: str) -> Finding:
    """The module runs, and its folder in /sys/module could not be made."""
    return Finding(
        "sysfs-failed",
        Severity.WARNING,
        f"the folder of {module} in /sys/module could not be made, or not whole: a name is "
        f"taken, or "
        "memory was short",
        0,
        module=module,
        fixes=(Fix("see what has the name", (f"ls -la /sys/module/{module}", "sudo dmesg")),),
    )


def livepatch(module: str, message: str) -> Finding:
    """A live patch, or a module that one is for, could not be applied."""
    return Finding(
        "livepatch",
        Severity.FATAL,
        "a live patch does not fit the module it is for, or is no live patch at all; the module is "
        "not loaded while the patch is in",
        EINVAL,
        message,
        module=module,
        fixes=(
            Fix(
                "take the patch out, or take one made for this kernel and module",
                ("ls /sys/kernel/livepatch", "kpatch list"),
            ),
        ),
    )
