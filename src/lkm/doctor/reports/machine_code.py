"""The ``Code:`` lines of a report, as each architecture prints them.

x86 prints bytes; arm64, arm, ppc, mips and loongarch whole instructions as numbers; riscv parcels
of 16 bits; s390 disassembles by itself. The trapping one stands in ``<>`` or ``()``.
Sources: ``arch/x86/kernel/dumpstack.c: show_opcodes``, ``arch/{arm,arm64,riscv}/kernel/traps.c:
dump_instr``, ``arch/powerpc/kernel/process.c: show_instructions``, ``arch/mips/kernel/traps.c:
show_code``, ``arch/s390/kernel/dis.c: show_code``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lkm.doctor.reports.facts import Code

_MAX_WORDS = 512
_WORD = re.compile(r"[<(]?([0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8})[>)]?$")
_DISASSEMBLED = re.compile(
    r"(?P<mark>[>#* ]?)(?P<address>[0-9a-f]{16}): "
    r"(?P<bytes>[0-9a-f]{4,12})\s{1,16}(?P<text>.{1,100})"
)
BIG_ENDIAN = frozenset({"ppc64", "ppc", "s390x", "mips", "sparc64", "parisc"})
"""Machines whose instructions are shown most significant byte first; a mips may be of either."""


@dataclass(slots=True)
class CodeLines:
    """The lines of machine code of one report."""

    words: list[str] = field(default_factory=list)
    own: list[tuple[int, bytes, str, bool]] = field(default_factory=list)
    going_on: bool = False

    def take(self, text: str) -> bool:
        """Take ``text`` if it is one of them."""
        if text.startswith("Krnl Code:"):
            self.going_on = True
            return self._own(text.partition(":")[2].strip())
        if text.startswith(("Code:", "Instruction dump:")):
            rest = text.partition(":")[2]
            self.going_on = True
            if not self.words:
                self._words(rest)
            return True
        if not self.going_on:
            return False
        self.going_on = self._own(text) or self._words(text)
        return self.going_on

    def _own(self, text: str) -> bool:
        match = _DISASSEMBLED.match(text)
        if match is None:
            return False
        if len(self.own) < _MAX_WORDS:
            data = bytes.fromhex(match["bytes"])
            plain = " ".join(match["text"].split())
            self.own.append((int(match["address"], 16), data, plain, match["mark"] == ">"))
        return True

    def _words(self, text: str) -> bool:
        words = text.split()
        good: list[str] = []
        for word in words[:_MAX_WORDS]:
            if word.startswith("X") or not _WORD.match(word):
                # ppc prints XXXXXXXX for what it cannot read; the last word may be cut short.
                if good or word.startswith("X"):
                    continue
                return False
            good.append(word)
        self.words += good[: _MAX_WORDS - len(self.words)]
        return bool(good)

    def code(self, machine: str) -> Code | None:
        """Return all that was taken, or ``None``."""
        if self.own:
            return self._own_code()
        if not self.words:
            return None
        data = bytearray()
        fault = 0
        found = False
        big = machine in BIG_ENDIAN
        for word in self.words:
            if word[0] in "<(" and not found:
                fault, found = len(data), True
            digits = word.strip("<>()")
            if len(digits) % 2:
                break
            number = bytes.fromhex(digits)
            # Whole instructions are numbers: in memory, little-endian but for some machines.
            data += number if len(digits) == 2 or big else number[::-1]
        return Code(bytes(data), fault)

    def _own_code(self) -> Code:
        marked = next((address for address, _, _, mark in self.own if mark), self.own[-1][0])
        data = b"".join(each[1] for each in self.own)
        fault = 0
        for address, each, _, _ in self.own:
            if address >= marked:
                break
            fault += len(each)
        decoded = tuple((address - marked, each, text) for address, each, text, _ in self.own)
        return Code(data, fault, decoded)
