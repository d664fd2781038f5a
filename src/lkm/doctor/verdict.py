"""Explain an oops: the guilty module, the fault in words, registers worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lkm.doctor.oops import Kind, Location, Oops


@dataclass(frozen=True, slots=True)
class ModuleRange:
    """Where a module lies in memory, from /proc/modules: name, first address, size in bytes."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """The module to look at first, and why it is."""

    module: str
    reason: str


@dataclass(frozen=True, slots=True)
class RegisterNote:
    """A register worth a look: the module it points into, or a value that has a meaning."""

    register: str
    value: int
    meaning: str
    module: str = ""


# include/linux/poison.h and mm/slub.c; the value as it fills a 64-bit word
_POISON = {
    0x6B6B6B6B6B6B6B6B: "memory that was freed (slab poison POISON_FREE): use after free",
    0x5A5A5A5A5A5A5A5A: "memory never written (slab poison POISON_INUSE)",
    0xDEAD000000000100: "LIST_POISON1: an entry already taken off its list",
    0xDEAD000000000122: "LIST_POISON2: an entry already taken off its list",
    0xDEAD4EAD00000000: "a spinlock's magic number",
    0xCCCCCCCCCCCCCCCC: "freed init memory (POISON_FREE_INITMEM)",
}
_PAGE = 4096
# arch/x86/include/asm/pgtable_64_types.h: MODULES_VADDR, MODULES_END
_X86_MODULES = range(0xFFFFFFFFA0000000, 0xFFFFFFFFFF000000)
# Functions that stand between a module's call and the trap, never the reason for it.
_REPORTERS = (
    *("dump_stack", "show_stack", "panic", "vpanic", "__warn", "warn_slowpath", "kasan_report"),
    "die",
)


def suspect(oops: Oops) -> Suspect | None:
    """Return the module most likely at fault, or ``None`` when no module shows in the report."""
    place = oops.location
    if place is not None and place.module:
        return Suspect(place.module, "the fault is in its own code")
    for frame in oops.trace:
        if frame.module and frame.reliable:
            return Suspect(
                frame.module, f"its {frame.function} called into the kernel, which failed there"
            )
    for frame in oops.trace:
        if frame.module:
            return Suspect(frame.module, "it lies on the stack, though not for certain")
    starting = [module for module in oops.modules if module.state == "+"]
    if starting:
        return Suspect(starting[0].name, "it was being loaded when this happened")
    return None


def in_words(oops: Oops) -> str:
    """Return one sentence that says what happened."""
    if oops.kind is Kind.WARNING:
        return f"the kernel warned{_at(oops)}: a condition it did not expect; it went on"
    if oops.kind is Kind.BUG and oops.title.startswith("kernel BUG at"):
        return f"the code stopped itself: BUG(){_at(oops)}; the task was killed"
    if oops.kind is Kind.PANIC:
        return "the kernel stopped for good: " + oops.title.partition(": ")[2]
    if "NULL pointer" in oops.title:
        return _null_pointer(oops)
    if oops.fault_address is not None and "page fault" in " ".join((oops.title, *oops.details)):
        return (
            f"{_access(oops)} {oops.fault_address:#x}, where no memory is mapped{_poisoned(oops)}"
        )
    if "general protection" in oops.title:
        return "an address that cannot exist was used, or a privileged thing done" + _poisoned(oops)
    if "NX-protected" in oops.title:
        return "the processor was sent to execute data: a bad function pointer, or freed code"
    if oops.kind is Kind.LOCKUP:
        return "a processor or task made no progress for too long"
    return oops.title


def _at(oops: Oops) -> str:
    return f" at {oops.source}" if oops.source else ""


def _null_pointer(oops: Oops) -> str:
    address = oops.fault_address or 0
    if address == 0:
        return f"{_access(oops)} address 0: a pointer was NULL"
    if address < _PAGE:
        return (
            f"{_access(oops)} {address:#x}: a member at offset {address:#x} of a structure "
            "whose pointer was NULL"
        )
    return f"{_access(oops)} {address:#x}, next to NULL"


# arch/x86/include/asm/trap_pf.h
_PF_WRITE, _PF_INSTR = 1 << 1, 1 << 4


def _access(oops: Oops) -> str:
    code = oops.error_code or 0
    if code & _PF_INSTR:
        return "jumped to"
    return "wrote to" if code & _PF_WRITE else "read from"


def _poisoned(oops: Oops) -> str:
    for _name, value in oops.registers:
        if value in _POISON:
            return f"; a register holds {_POISON[value]}"
    return ""


def registers(oops: Oops, modules: Sequence[ModuleRange] = ()) -> tuple[RegisterNote, ...]:
    """Return the registers that point into module memory, are NULL's neighbours, or poison.

    Without ``modules`` an address in the x86-64 module area is still named as such.
    """
    notes = []
    for name, value in oops.registers:
        if name.startswith("CR") or name in ("RSP", "GS", "FS"):
            continue
        note = _note(name, value, modules)
        if note is not None:
            notes.append(note)
    return tuple(notes)


def _note(name: str, value: int, modules: Sequence[ModuleRange]) -> RegisterNote | None:
    for module in modules:
        if module.start <= value < module.start + module.size:
            offset = value - module.start
            return RegisterNote(name, value, f"{module.name} + {offset:#x}", module.name)
    if value in _POISON:
        return RegisterNote(name, value, _POISON[value])
    if value in _X86_MODULES:
        return RegisterNote(name, value, "in the area where modules lie")
    return None


def frames(oops: Oops) -> tuple[Location, ...]:
    """Return where it happened and the callers, without the kernel's own reporting on top."""
    trace = list(oops.trace)
    # Down to the last of the reporters, what merely lay on the stack between them included.
    for count, frame in enumerate(oops.trace, 1):
        if frame.function.split(".")[0].startswith(_REPORTERS):
            trace = list(oops.trace[count:])
        elif frame.reliable and frame.function:
            break
    while trace and not trace[0].function:
        trace.pop(0)
    place = oops.location
    return (place, *trace) if place is not None else tuple(trace)
