"""The kernel's linker meets something in the module that it cannot place.

Source: ``arch/*/kernel/module.c: apply_relocate_add`` and their kin.
"""

from __future__ import annotations

from errno import ENOEXEC

from lkm.doctor.causes.version import rebuild
from lkm.doctor.finding import Evidence, Finding, Fix, Severity
from lkm.elf.machine import label
from lkm.module.relocation_types import type_name

_X86_64, _ARM64, _ARM, _RISCV, _386 = 62, 183, 40, 243, 3

# What makes a compiler emit them, and why a kernel takes none.
_REASONS = {
    (_ARM64, 275): "its distance is too far, or the kernel avoids it (erratum 843419): it wants "
    "modules compiled with -mcmodel=large or a newer compiler's -mfix-cortex-a53-843419",
    (
        _ARM64,
        311,
    ): "it goes through a global offset table (GOT), as position-independent code (PIC) does; "
    "modules "
    "are compiled with -fno-PIC",
    (_ARM64, 312): "it goes through a global offset table (GOT), as position-independent code does",
    (
        _X86_64,
        42,
    ): "it goes through a global offset table (GOT), as position-independent code (PIC) does; "
    "modules are "
    "compiled with -fno-PIC -mcmodel=kernel",
    (
        _X86_64,
        41,
    ): "it goes through a global offset table (GOT), as position-independent code (PIC) does",
    (
        _X86_64,
        9,
    ): "it goes through a global offset table (GOT), as position-independent code (PIC) does",
    (_X86_64, 4): "it is a call through a linkage table (PLT), which binutils since 2.31 write and "
    "kernels before 4.18 do not know",
    (_ARM, 96): "it goes through a global offset table (GOT), as position-independent code does",
}


def unknown_type(module: str, number: int, machine: int | None, message: str) -> Finding:
    """A relocation of a type this kernel's linker does not do."""
    known = machine if machine is not None else _likely(number)
    name = type_name(known, number) if known is not None else ""
    name = "" if name.startswith("type ") else name
    why = _REASONS.get((known or 0, number), "")
    what = f"type {number}" + (f", {name}" if name else "")
    return Finding(
        "relocation-type",
        Severity.FATAL,
        f"the module holds a relocation this kernel does not know ({what})"
        + (f": {why}" if why else "")
        + "; it was compiled with other flags, or by another compiler or binutils, than the kernel",
        ENOEXEC,
        message,
        module=module,
        subject=name or str(number),
        evidence=(Evidence("relocation", what, label(known) if known is not None else ""),),
        fixes=(
            rebuild(),
            Fix(
                "let kbuild choose the flags: take -fPIC, -fpic, -mcmodel= and the like out of the "
                "module's own, and use the compiler and the binutils that built the kernel",
                ("cat /proc/version", "gcc --version", "ld --version"),
            ),
        ),
    )


def _likely(number: int) -> int | None:
    """Return the machine of a number that only one prints as unknown."""
    if 256 <= number < 1100:
        return _ARM64
    return None


def nonzero_target(module: str, number: int, message: str) -> Finding:
    """The place to be relocated holds something already: wrong tools, or relocated twice."""
    name = type_name(_X86_64, number)
    return Finding(
        "relocation-target",
        Severity.FATAL,
        f"a relocation ({name}) falls on bytes that are not zero: the module was put together by "
        "another compiler or binutils (ld, objcopy, strip) than the kernel's, or the headers it "
        "was built with "
        "are stale",
        ENOEXEC,
        message,
        module=module,
        subject=name,
        fixes=(
            Fix("clean, and build again with the compiler and binutils of the kernel",
                ("make clean", "cat /proc/version", "gcc --version", "ld --version")),
            rebuild(),
        ),
    )  # fmt: skip


def out_of_range(module: str, message: str, section: str = "") -> Finding:
    """A target is too far for the bits of its relocation."""
    return Finding(
        "relocation-range",
        Severity.FATAL,
        "a function or variable lies too far from the module for the instruction that names it: "
        "the "
        "area for modules is used up or apart from the kernel (KASLR), or the module was "
        "compiled for "
        "another code model",
        ENOEXEC,
        message,
        module=module,
        subject=section,
        fixes=(
            Fix("build it again with the flags kbuild chooses, without -mcmodel= or -fPIC of its "
                "own"),
            Fix("see what fills the area for modules; a reboot empties it",
                ("grep -c . /proc/modules", "lsmod | sort -n -k2 | tail")),
        ),
    )  # fmt: skip


def thunk(module: str, symbol: str) -> Finding:
    """A symbol that the compiler's mitigations call: the kernel at hand was built without them."""
    what = (
        "return thunks (retbleed)" if "return_thunk" in symbol
        else "call depth tracking" if "call_thunk" in symbol or "fentry" in symbol
        else "retpolines (Spectre v2)"
    )  # fmt: skip
    return Finding(
        "mitigation-symbol",
        Severity.FATAL,
        f"{symbol} is what code compiled with {what} calls: the module was built for another "
        f"kernel, newer "
        "or older, than the one that runs, which lacks it; often a reboot into the upgraded "
        "kernel is pending",
        2,
        f"{module}: Unknown symbol {symbol} (err -2)",
        module=module,
        subject=symbol,
        fixes=(
            Fix("boot the kernel the module was built for", (
                f"modinfo -F vermagic {module or 'MODULE'}", "uname -r", "sudo reboot")),
            rebuild(),
        ),
    )  # fmt: skip


def instrumentation(module: str, symbol: str) -> Finding:
    """A symbol that the compiler's instrumentation calls, which this kernel was built without."""
    kinds = {
        "__asan": "KASAN", "__hwasan": "KASAN", "__kasan": "KASAN", "__ubsan": "UBSAN",
        "__sanitizer_cov": "KCOV",
        "__gcov": "GCOV", "llvm_gcov": "GCOV", "__tsan": "KCSAN", "__msan": "KMSAN",
        "mcount": "function tracing",
        "__fentry": "function tracing", "__cfi": "CFI", "__stack_chk": "the stack protector",
        "__gnu_mcount": "function tracing", "_mcount": "function tracing",
        "__cyg_profile": "-finstrument-functions",
    }  # fmt: skip
    kind = next(
        (name for start, name in kinds.items() if symbol.startswith(start)), "another compiler flag"
    )
    return Finding(
        "instrumentation-symbol",
        Severity.FATAL,
        f"{symbol} belongs to {kind}: the module was compiled with it, for another kernel or "
        f"configuration, "
        "and this kernel was not",
        2,
        f"{module}: Unknown symbol {symbol} (err -2)",
        module=module,
        subject=symbol,
        fixes=(rebuild(),),
    )


def runtime_helper(module: str, symbol: str) -> Finding:
    """A symbol of the compiler's or C's own library, which no kernel has."""
    floats = symbol.startswith(
        ("__adddf", "__muldf", "__divdf", "__subdf", "__fix", "__float", "__aeabi_d", "__aeabi_f",
         "__addsf", "__mulsf", "__divsf", "__gtdf", "__ltdf")
    )  # fmt: skip
    division = symbol in (
        "__udivdi3",
        "__divdi3",
        "__umoddi3",
        "__moddi3",
        "__aeabi_uldivmod",
        "__aeabi_ldivmod",
    )
    if floats:
        why, what = "of floating-point arithmetic", "take floating point out: the kernel has none"
    elif division:
        why, what = "of 64-bit division", "divide with div_u64() or do_div() (linux/math64.h)"
    else:
        why, what = (
            "of the C library or the compiler's own",
            "use the kernel's own functions instead of the C library's",
        )
    return Finding(
        "runtime-symbol",
        Severity.FATAL,
        f"{symbol} is {why}, which no kernel exports to modules on this machine",
        2,
        f"{module}: Unknown symbol {symbol} (err -2)",
        module=module,
        subject=symbol,
        fixes=(Fix(f"change the source: {what}"),),
    )


def plt_missing(module: str, message: str) -> Finding:
    """The linker script of kbuild was not used: the sections for far calls are missing."""
    return Finding(
        "linker-script",
        Severity.FATAL,
        "the module has not the sections for far calls that kbuild's linker script gives it: it "
        "was linked by hand, or with "
        "the headers of another kernel",
        ENOEXEC,
        message,
        module=module,
        fixes=(rebuild(),),
    )
