"""Taint flags: bit, letter, name, meaning, cause; upstream's and those of distributions.

Source: ``include/linux/panic.h`` (bits), ``kernel/panic.c: taint_flags`` (letters, names),
``Documentation/admin-guide/tainted-kernels.rst`` (causes). The bits above upstream's are Red Hat's
(28, 29, 31) and SUSE's (16, 31), from their kernels' copies of the same files.
"""

from __future__ import annotations

import re
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
            ("X", "auxiliary", "set by the distribution; its meaning is theirs (SUSE: a module "
             "that its vendor supports, not SUSE)"),
            ("T", "randomised structures", "the kernel was built with randstruct"),
            ("N", "in-kernel test", "a KUnit or other test module ran"),
            ("J", "fwctl", "user space sent a mutating command through fwctl"),
        )
    )
)  # fmt: skip

VENDOR_FLAGS: tuple[TaintFlag, ...] = (
    TaintFlag(27, "r", "support removed", "on RHEL a driver or a device is in use that is not "
              "supported any more"),
    TaintFlag(28, "H", "unsupported hardware", "on RHEL the hardware is not supported: untested, "
                                               "or "
              "no longer"),
    TaintFlag(29, "T", "technology preview", "on RHEL a Tech Preview feature or driver is in use"),
    TaintFlag(30, "?", "reserved by Red Hat", "on SUSE's older kernels: an unsupported module"),
    TaintFlag(31, "N", "unsupported module, or unprivileged BPF", "on SUSE a module without the "
        "mark "
              "supported= was loaded (no support); on RHEL unprivileged BPF was allowed ('u')"),
)  # fmt: skip
"""The bits that distributions set above upstream's; their letters there repeat upstream's."""

NAMES = {
    "PROPRIETARY_MODULE": "P", "FORCED_MODULE": "F", "CPU_OUT_OF_SPEC": "S", "FORCED_RMMOD": "R",
    "MACHINE_CHECK": "M", "BAD_PAGE": "B", "USER": "U", "DIE": "D",
    "OVERRIDDEN_ACPI_TABLE": "A", "WARN": "W", "CRAP": "C", "FIRMWARE_WORKAROUND": "I",
    "OOT_MODULE": "O", "UNSIGNED_MODULE": "E", "SOFTLOCKUP": "L", "LIVEPATCH": "K", "AUX": "X",
    "RANDSTRUCT": "T", "TEST": "N", "FWCTL": "J",
}  # fmt: skip
"""The names that logs print since 6.12 (``[O]=OOT_MODULE``)."""

_BY_LETTER = {flag.letter: flag for flag in FLAGS}


def decode(value: int) -> tuple[TaintFlag, ...]:
    """Return the flags set in ``value`` (as in /proc/sys/kernel/tainted), lowest bit first.

    Bits the kernel added after this table was written come back with the letter ``?``.
    """
    if value < 0:
        raise ValueError(f"a taint value is not negative: {value}")
    known = {flag.bit: flag for flag in (*FLAGS, *VENDOR_FLAGS)}
    return tuple(
        known.get(bit) or TaintFlag(bit, "?", "unknown flag", "newer than this version of lkm")
        for bit in range(value.bit_length())
        if value >> bit & 1
    )


def from_letters(letters: Iterable[str]) -> tuple[TaintFlag, ...]:
    """Return the flags named by ``letters`` (as in /sys/module/*/taint), lowest bit first."""
    return tuple(sorted({_BY_LETTER[c] for c in letters if c in _BY_LETTER}, key=lambda f: f.bit))


_NAMED = re.compile(r"\[([A-Z])\]=([A-Z_]{2,40})")
_BARE_NAME = re.compile(r"\bTAINT_([A-Z_]{2,40})\b")


def from_names(text: str) -> tuple[TaintFlag, ...]:
    """Return the flags named as logs do since 6.12 (``[O]=OOT_MODULE``), or by constant."""
    letters = [NAMES.get(name, letter) for letter, name in _NAMED.findall(text)]
    letters += [NAMES[name] for name in _BARE_NAME.findall(text) if name in NAMES]
    return from_letters(letters)


_WORD = re.compile(r"[A-Za-z?-]{1,32}$")
_RELEASE = re.compile(r"[\w.+~-]{1,128}$")


def read_field(text: str) -> tuple[tuple[TaintFlag, ...], str]:
    """Read ``Tainted: G  S  OE  ------- ---  5.14.0-427.el9 #1``: the flags and the release.

    Letters stand in columns, with blanks, or Red Hat's dashes, where none is set; what follows the
    first word with a digit is not part of the field. ``Not tainted`` has no flags.
    """
    rest = text.partition("ainted")[2].lstrip(": ") if "ainted" in text else text
    letters: list[str] = []
    release = ""
    for word in rest.split():
        if any(c.isdigit() for c in word):
            release = word if _RELEASE.match(word) else ""
            break
        if not _WORD.match(word):
            break
        letters += [c for c in word if c != "G"]
    return from_letters(letters), release


def merged(*groups: Iterable[TaintFlag]) -> tuple[TaintFlag, ...]:
    """Return the flags of all ``groups``, each once, lowest bit first."""
    return tuple(sorted({flag for group in groups for flag in group}, key=lambda f: f.bit))


def letters(value: int) -> str:
    """Return the letters of the flags set in ``value``, lowest bit first (``PO`` for 4097)."""
    return "".join(flag.letter for flag in decode(value))


def value_of(flags: Iterable[TaintFlag]) -> int:
    """Return the number that stands for ``flags``."""
    value = 0
    for flag in flags:
        value |= flag.mask
    return value
