"""Processor architectures, by the number that an ELF file has for them.

Source: ``include/uapi/linux/elf-em.h``; the words are those of ``uname -m``.
"""

from __future__ import annotations

I386, MIPS, X86_64 = 3, 8, 62

_WORDS = {
    I386: "i386", MIPS: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 43: "sparc64",
    X86_64: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64",
}  # fmt: skip
_LABELS = {
    2: "SPARC", I386: "x86 (32 bit)", MIPS: "MIPS", 20: "PowerPC", 21: "PowerPC (64 bit)",
    22: "S/390", 40: "ARM (32 bit)", 43: "SPARC (64 bit)", 50: "Itanium", X86_64: "x86-64",
    183: "ARM (64 bit)", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip


def word(number: int) -> str:
    """Return the architecture as ``uname -m`` calls it, or the number."""
    return _WORDS.get(number, str(number))


def label(number: int) -> str:
    """Return the architecture as people call it."""
    return _LABELS.get(number, f"machine {number}")
