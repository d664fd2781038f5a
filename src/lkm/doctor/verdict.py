"""Explain an oops: the guilty module, the frames worth showing, registers worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lkm.doctor.reports.facts import Location, Oops
from lkm.doctor.reports.titles import Kind
from lkm.doctor.reports.words import POISON, in_words

__all__ = ["ModuleRange", "RegisterNote", "Suspect", "frames", "in_words", "registers", "suspect"]


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


# arch/x86/include/asm/pgtable_64_types.h: MODULES_VADDR, MODULES_END
_X86_MODULES = range(0xFFFFFFFFA0000000, 0xFFFFFFFFFF000000)
# Functions that stand between a module's call and the trap, never the reason for it.
_REPORTERS = (
    *("dump_stack", "show_stack", "show_regs", "panic", "vpanic", "__warn", "warn_slowpath", "die"),
    *(
        "__die",
        "oops_",
        "__die_kernel_fault",
        "die_kernel_fault",
        "do_kern_addr_fault",
        "report_bug",
    ),
    *(
        "handle_bug",
        "__report_bug",
        "print_report",
        "print_address_description",
        "kasan_",
        "__kasan_",
    ),
    *("check_memory_region", "__asan_", "__hwasan_", "kasan_report", "end_report", "kfence_report"),
    *("kmsan_", "__msan_", "kcsan_", "__tsan_", "ubsan_", "__ubsan_", "refcount_warn_saturate"),
    *("__list_add_valid", "__list_del_entry_valid", "usercopy_abort", "__check_object_size"),
    *("fortify_panic", "__fortify_", "__stack_chk_fail", "rust_helper_BUG", "page_fault_oops"),
    *("no_context", "__bad_area", "bad_area", "exc_", "asm_exc_", "do_trap", "do_error_trap"),
    *("do_invalid_op", "invalid_op", "page_fault", "do_page_fault", "nmi_cpu_backtrace"),
    *("nmi_trigger_cpumask", "rcu_dump_cpu_stacks", "rcu_check_callbacks", "watchdog_timer_fn"),
    *("arch_trigger_cpumask", "print_cpu_stall", "check_cpu_stall", "check_panic_on_warn"),
    *(
        "el1_abort",
        "el1_sync",
        "el1h_64_sync",
        "do_mem_abort",
        "do_translation_fault",
        "unwind_backtrace",
    ),
    *("print_unlock_imbalance", "print_circular", "lockdep_", "__might_sleep", "__might_resched"),
    *(
        "___might_sleep",
        "__schedule_bug",
        "object_err",
        "slab_err",
        "slab_fix",
        "free_debug_processing",
    ),
    *(
        "bust_spinlocks",
        "dump_backtrace",
        "__dump_stack",
        "warn_bogus_irq_restore",
        "debug_print_object",
    ),
    *("sysfs_warn_dup", "bad_page", "print_bad_pte", "report_cfi_failure", "handle_cfi_failure"),
    *(
        "__cfi_slowpath",
        "__cfi_check_fail",
        "bug_handler",
        "brk_handler",
        "do_report_trap",
        "warn_alloc",
    ),
)
_RUST_REPORTERS = (
    "rust_begin_unwind",
    "core9panicking",
    "4core6option13unwrap",
    "4core6result13unwrap",
)
# Where a task waits: the scheduler's own frames say nothing of what it waits for.
_WAITING = (
    *("__schedule", "schedule", "io_schedule", "preempt_schedule", "__switch_to", "_cond_resched"),
    "context_switch",
)


def is_reporter(function: str) -> bool:
    """Whether a function only reports, or leads from a trap to the report."""
    base = function.split(".", 1)[0].removeprefix("__pfx_")
    return base.startswith(_REPORTERS) or any(part in function for part in _RUST_REPORTERS)


def suspect(oops: Oops) -> Suspect | None:
    """Return the module most likely at fault, or ``None`` when no module shows in the report."""
    place = oops.location
    waits = oops.kind is Kind.LOCKUP
    if place is not None and place.module:
        reason = "the processor was held in its code" if waits else "the fault is in its own code"
        if oops.kind is Kind.WARNING and oops.title.startswith("CFI failure"):
            reason = "the call went to, or came from, its code"
        return Suspect(place.module, reason)
    shown = frames(oops)
    for frame in shown:
        if frame.module and frame.reliable:
            what = (
                "is where it waits or spins"
                if waits
                else "called into the kernel, which failed there"
            )
            return Suspect(frame.module, f"its {frame.function} {what}")
    if named := _in_title(oops):
        return named
    for frame in oops.trace:
        if frame.module:
            return Suspect(frame.module, "it lies on the stack, though not for certain")
    for other in oops.others:
        for frame in other.frames:
            if frame.module:
                return Suspect(frame.module, f"it stands in the trace {other.title!r}")
    starting = [module for module in oops.modules if module.state == "+"]
    if starting:
        return Suspect(starting[0].name, "it was being loaded when this happened")
    leaving = [module for module in oops.modules if module.state == "-"]
    if leaving:
        return Suspect(leaving[0].name, "it was being unloaded when this happened")
    return None


def _in_title(oops: Oops) -> Suspect | None:
    """Return the module that a sentence names: ``target: init_module+0x0/0xff0 [evdi]``."""
    for text in (oops.title, *oops.details):
        before, bracket, rest = text[:1000].partition(" [")
        name = rest.split("]", 1)[0].split(" ", 1)[0]
        if bracket and "+0x" in before and name.replace("-", "_").isidentifier():
            return Suspect(name, "the report names it")
        for module in oops.modules:
            if module.taints and f"/{module.name}/" in text:
                return Suspect(module.name, "the report names its source")
    return None


def frames(oops: Oops) -> tuple[Location, ...]:
    """Return where it happened and the callers, without the kernel's own reporting on top."""
    trace = _without_reporters(oops)
    if oops.kind is Kind.LOCKUP:
        trace = _without_waiting(trace)
    place = oops.location
    if place is None:
        return tuple(trace)
    if is_reporter(place.function) and any(f.reliable and f.function for f in trace):
        return tuple(trace)
    same = trace and (trace[0].function, trace[0].offset) == (place.function, place.offset)
    if same and trace[0].address and not place.address:
        place = trace[0]
    return (place, *(trace[1:] if same else trace))


def _without_reporters(oops: Oops) -> list[Location]:
    trace = list(oops.trace)
    # Down to the last of the reporters, what merely lay on the stack between them included.
    for count, frame in enumerate(oops.trace, 1):
        if frame.function and is_reporter(frame.function):
            trace = list(oops.trace[count:])
        elif frame.reliable and frame.function:
            break
    first = next((i for i, f in enumerate(trace) if f.reliable and f.function), None)
    if first is not None:
        return trace[first:]
    while trace and not trace[0].function:
        trace.pop(0)
    return trace


def _without_waiting(trace: list[Location]) -> list[Location]:
    for count, frame in enumerate(trace):
        if frame.function and not frame.function.startswith(_WAITING):
            return trace[count:]
    return trace


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
    if value in POISON:
        return RegisterNote(name, value, POISON[value])
    if value in _X86_MODULES and not name.startswith(("x", "r", "$")):
        return RegisterNote(name, value, "in the area where modules lie")
    return None
