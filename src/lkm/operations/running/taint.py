"""Explain a taint value, and find which module of a kernel set which flag.

Source: ``kernel/panic.c`` (taint_flags), ``kernel/module/main.c: module_flags_taint``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lkm import taint
from lkm.errors import UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LogRecord
from lkm.taint import TaintFlag


@dataclass(frozen=True, slots=True)
class TaintCause:
    """One flag that is set: the loaded modules that carry it, and the log lines about it."""

    flag: TaintFlag
    modules: tuple[str, ...] = ()
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaintReport:
    """A taint value and its flags, lowest bit first."""

    value: int
    letters: str
    causes: tuple[TaintCause, ...]


_TELLING = {
    "P": r"module license .* taints kernel|taints kernel.*[Pp]roprietary",
    "F": r"(?:bad vermagic|no version for|module_layout): kernel tainted|forced",
    "R": r"[Ff]orced (?:module )?(?:unload|remov)|TAINT_FORCED_RMMOD",
    "M": r"Machine check|mce: \[Hardware Error\]",
    "B": r"BUG: Bad (?:page|rss)",
    "D": r"Oops: |kernel BUG at|general protection fault|BUG: (?:kernel NULL|unable to handle)"
    r"|: [0-9a-f]{4} \[#\d",
    "A": r"ACPI: .*(?:table override|Override \[)",
    "W": r"WARNING: CPU: |------------\[ cut here \]",
    "C": r"is from the staging directory",
    "I": r"\[Firmware (?:Bug|Workaround)\]",
    "O": r"loading out-of-tree module taints kernel",
    "E": r"module verification failed: signature and/or required key missing",
    "L": r"soft lockup - CPU",
    "K": r"tainting kernel with TAINT_LIVEPATCH",
    "N": r"loading test module taints kernel|TAINT_TEST",
}


def of_value(value: int) -> TaintReport:
    """Explain a number, as in /proc/sys/kernel/tainted."""
    causes = tuple(TaintCause(flag) for flag in taint.decode(value))
    return TaintReport(value, taint.letters(value), causes)


_NUMBER = re.compile(
    r"(?:kernel\.tainted|/proc/sys/kernel/tainted)?[\s:=]{0,8}(0x[0-9a-fA-F]{1,16}|\d{1,20})\s*$"
)


def of_text(text: str) -> TaintReport:
    """Explain what a person has of a taint: a number, letters, or a line of a log.

    Letters stand in columns, with blanks or Red Hat's dashes between; since 6.12 logs name flags
    (``[O]=OOT_MODULE``). Raises UsageError for anything else.
    """
    plain = text.strip().strip("()").strip()
    if match := _NUMBER.match(plain):
        number = int(match[1], 16 if match[1].startswith("0x") else 10)
        if number >= 1 << 64:
            raise UsageError(f"a taint value is between 0 and 2^64, not {match[1]}")
        return of_value(number)
    letters, release = taint.read_field(plain.partition("[")[0])
    if named := taint.from_names(plain):
        return of_value(taint.value_of(taint.merged(named, letters)))
    if "not tainted" in plain.lower():
        return of_value(0)
    field = plain.partition("ainted")[2].lstrip(": ") if "ainted" in plain else plain
    field = field.partition(release)[0] if release else field
    unknown = set(field) - {flag.letter for flag in taint.FLAGS} - set("G- ")
    if unknown or not field.strip():
        raise UsageError(
            f"{text!r} is neither a number nor taint letters",
            hint="for example 12289, 0x3001, POE, or a line with Tainted:",
        )
    return of_value(taint.value_of(letters))


def of_kernel(kernel: Kernel) -> TaintReport:
    """Explain a kernel's taint: which loaded modules carry each flag, and what the log says.

    A module that was unloaded since shows only in the log, if that goes back so far.
    """
    value = kernel.taint()
    carried = {module.name: module.taints for module in kernel.modules()}
    try:
        log = kernel.log()
    except OSError:  # a user who may not read it still learns the flags
        log = ()
    causes = tuple(
        TaintCause(
            flag,
            tuple(sorted(name for name, letters in carried.items() if flag.letter in letters)),
            _telling_lines(flag, log),
        )
        for flag in taint.decode(value)
    )
    return TaintReport(value, taint.letters(value), causes)


def _telling_lines(flag: TaintFlag, log: tuple[LogRecord, ...]) -> tuple[str, ...]:
    pattern = _TELLING.get(flag.letter)
    if pattern is None:
        return ()
    lines = [record.text for record in log if re.search(pattern, record.text)]
    return tuple(dict.fromkeys(lines))[:3]
