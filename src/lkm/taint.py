"""Taint flags: bit, letter, meaning, cause.

Source: ``include/linux/panic.h`` (bits), ``kernel/panic.c: taint_flags`` (letters),
``Documentation/admin-guide/tainted-kernels.rst`` (causes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaintFlag:
    """One taint flag: its bit number, its letter in a log, what it means, what sets it."""

    bit: int
    letter: str
    meaning: str
    cause: str

    @property
    def mask(self) -> int:
        """The flag's value in /proc/sys/kernel/tainted."""
        return 1 << self.bit


FLAGS: tuple[TaintFlag, ...] = tuple(
    TaintFlag(bit, letter, meaning, cause)
    for bit, (letter, meaning, cause) in enumerate(
        (
            ("P", "proprietary module", "a module whose licence is not GPL-compatible was loaded"),
            ("F", "forced load", "a module was loaded with --force, or without its vermagic"),
            ("S", "CPU out of specification", "the processor or its setting is not supported"),
            ("R", "forced unload", "a module was unloaded with --force"),
            ("M", "machine check", "the processor reported a hardware error"),
            ("B", "bad page", "a page's reference count or flags were found corrupt"),
            ("U", "user request", "user space asked for it, or wrote to memory through a device"),
            ("D", "died", "the kernel oopsed or hit a BUG"),
            ("A", "ACPI table overridden", "an ACPI table was replaced by the user"),
            ("W", "warning", "the kernel issued a WARN"),
            ("C", "staging driver", "a module from drivers/staging was loaded"),
            ("I", "firmware workaround", "the kernel works around a severe firmware bug"),
            ("O", "out-of-tree module", "a module built outside the kernel's tree was loaded"),
            ("E", "unsigned module", "a module without a valid signature was loaded"),
            ("L", "soft lockup", "a processor did not schedule for too long"),
            ("K", "live patched", "a live patch was applied"),
            ("X", "auxiliary", "set by the distribution; its meaning is theirs"),
            ("T", "randomised structures", "the kernel was built with randstruct"),
            ("N", "in-kernel test", "a KUnit or other test module ran"),
            ("J", "fwctl", "user space sent a mutating command through fwctl"),
        )
    )
)

_BY_LETTER = {flag.letter: flag for flag in FLAGS}


def decode(value: int) -> tuple[TaintFlag, ...]:
    """Return the flags set in ``value`` (as in /proc/sys/kernel/tainted), lowest bit first.

    Bits the kernel added after this table was written come back with the letter ``?``.
    """
    if value < 0:
        raise ValueError(f"a taint value is not negative: {value}")
    known = [flag for flag in FLAGS if value & flag.mask]
    unknown = [
        TaintFlag(bit, "?", "unknown flag", "newer than this version of lkm")
        for bit in range(len(FLAGS), value.bit_length())
        if value >> bit & 1
    ]
    return tuple(known + unknown)


def from_letters(letters: Iterable[str]) -> tuple[TaintFlag, ...]:
    """Return the flags named by ``letters`` (as in /sys/module/*/taint), lowest bit first."""
    return tuple(sorted({_BY_LETTER[c] for c in letters if c in _BY_LETTER}, key=lambda f: f.bit))


def letters(value: int) -> str:
    """Return the letters of the flags set in ``value``, lowest bit first (``PO`` for 4097)."""
    return "".join(flag.letter for flag in decode(value))


def value_of(flags: Iterable[TaintFlag]) -> int:
    """Return the number that stands for ``flags``."""
    value = 0
    for flag in flags:
        value |= flag.mask
    return value
