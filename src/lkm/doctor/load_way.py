"""The kernel's functions on a module's way, and which of the doctor's gates each stands for.

Source: ``kernel/module/main.c: load_module`` (6.1 to 6.12), in the order in which it comes to them.
Many checks are compiled into ``load_module`` itself and have no function of their own to be seen
entering; what the kernel answered then tells which of those that follow a function it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from errno import (
    EBADMSG,
    EEXIST,
    EINVAL,
    EKEYREJECTED,
    EMSGSIZE,
    ENOEXEC,
    ENOKEY,
    ENOMEM,
    ENOPKG,
    EPERM,
)


@dataclass(frozen=True, slots=True)
class WayPoint:
    """A function of the kernel: what happens there, and the gates that may refuse from there on.

    ``gates`` are pairs of a gate and the errors by which it is known, none: any. The first is the
    one the function itself stands for.
    """

    function: str
    meaning: str
    gates: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def gate(self) -> str:
        """The gate that the function stands for; empty for none."""
        return self.gates[0][0] if self.gates else ""


# crypto/asymmetric_keys: what a signature can be refused with
_OF_SIGNATURES = (EKEYREJECTED, ENOKEY, EPERM, EBADMSG, EMSGSIZE, ENOPKG, EINVAL)
_REFUSALS = (
    WayPoint(
        "__do_sys_init_module",
        "the module's bytes arrive",
        (("permission", (EPERM,)), ("elf", (ENOEXEC,))),
    ),
    WayPoint("__do_sys_finit_module", "the module's file arrives", (("permission", (EPERM,)),)),
    WayPoint("init_module_from_file", "the file is read", (("file", ()),)),
    WayPoint("load_module", "the load begins"),
    WayPoint(
        "module_sig_check",
        "the signature is looked at",
        (("signature", _OF_SIGNATURES), ("elf", ())),
    ),
    WayPoint(
        "get_next_modinfo",
        "the file is ELF; its name and .modinfo are read",
        (("structure", (ENOEXEC,)), ("blacklist", (EPERM,))),
    ),
    WayPoint(
        "check_modstruct_version",
        "is struct module the kernel's own?",
        (("module_layout", ()),),
    ),
    WayPoint(
        "same_magic",
        "was it built for this kernel?",
        (("vermagic", (ENOEXEC,)), ("memory", (ENOMEM,)), ("loaded", (EEXIST,))),
    ),
    WayPoint(
        "find_module_all",
        "is it there already?",
        (("loaded", (EEXIST,)), ("memory", (ENOMEM,)), ("licence", (ENOEXEC,))),
    ),
    WayPoint("resolve_symbol", "each symbol it needs is looked for", (("symbols", ()),)),
    WayPoint("apply_relocate_add", "addresses are written into its code"),
    WayPoint("module_finalize", "its code is patched for this processor"),
    WayPoint(
        "add_kallsyms",
        "its symbols are kept; are its exports new?",
        (("duplicates", (ENOEXEC,)),),
    ),
    WayPoint("module_enable_ro", "its code and constants become read-only", (("btf", ()),)),
    WayPoint("module_enable_rodata_ro", "its constants become read-only", (("btf", ()),)),
    WayPoint("btf_module_notify", "its types are taken in", (("btf", ()),)),
    WayPoint("parse_args", "its parameters are set", (("parameters", ()),)),
    WayPoint("mod_sysfs_setup", "its folder in /sys/module is made", (("loaded", (EEXIST,)),)),
    WayPoint("do_init_module", "the kernel is about to call its init", (("init", ()),)),
    WayPoint("do_one_initcall", "its init runs", (("init", ()),)),
)
_OTHERS = (
    WayPoint("mod_verify_sig", "the signature is checked against the trusted keys"),
    WayPoint("add_taint", "a taint flag is set"),
    WayPoint("ftrace_module_enable", "its functions can be traced from here on"),
    WayPoint("do_free_init", "the memory that only init used is given back"),
    WayPoint("__do_sys_delete_module", "someone asks for it to be unloaded"),
    WayPoint("free_module", "its memory is given back"),
)
POINTS = {point.function: point for point in (*_REFUSALS, *_OTHERS)}
"""All points by their function."""
NOT_OF_LOADING = frozenset({"__do_sys_delete_module", "free_module", "add_taint"})
"""Functions that tell something outside a load too."""
_ON_THE_WAY = {point.function for point in _REFUSALS}


def last_point(functions: Sequence[str]) -> WayPoint | None:
    """Return the last point of a load's way among the functions entered, each told once."""
    seen = [name for name in functions if name in _ON_THE_WAY]
    return POINTS[seen[-1]] if seen else None


def gate_of(point: WayPoint, errno: int) -> str:
    """Return the gate that refused with ``errno`` after ``point`` was come to; "" for none."""
    for gate, errors in point.gates:
        if not errors or errno in errors:
            return gate
    return ""
