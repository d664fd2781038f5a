"""Registers and status of every architecture's report, and the machine they tell.

Sources: ``show_regs`` and its kin of x86, arm, arm64, riscv, powerpc, s390, mips, loongarch.
"""

from __future__ import annotations

import re
from typing import Protocol


class ProcessorState(Protocol):
    """What this file fills in."""

    machine: str
    address: int | None
    facts: dict[str, int]
    registers: dict[str, int]


_HEX = r"[0-9a-f]{8,16}"
_X86 = re.compile(
    r"(?:R[A-Z0-9]{2}|E[A-Z]{2}|CR2|RSP|ORIG_RAX): {0,4}(?:[0-9a-f]{4}:)?[0-9a-f]{4,16}"
)
_X86_REGISTER = re.compile(
    r"\b(R[A-Z0-9]{2}|E[A-D]X|E[SD]I|E[BS]P|CR2): {0,4}(?:[0-9a-f]{4}:)?([0-9a-f]{8,16})\b"
)
_ARM64 = re.compile(r"(?:x\d{1,2}|sp|pstate) ?: ?[0-9a-f]{8,16}")
_ARM64_REGISTER = re.compile(r"\b(x\d{1,2}|sp|lr|pc) ?: ?(?:\[<)?([0-9a-f]{16})\b")
_ARM = re.compile(r"(?:pc|sp|r\d{1,2}|ip|fp) ?: ?(?:\[<)?[0-9a-f]{8}\b")
_ARM_REGISTER = re.compile(r"\b(r\d{1,2}|sp|ip|fp|lr|pc|psr) ?: ?(?:\[<)?([0-9a-f]{8})\b")
_RISCV = re.compile(r"(?:epc|gp|t\d|s\d{1,2}|a\d|tp|ra) ?: ?[0-9a-f]{8,16}")
_RISCV_REGISTER = re.compile(r"\b(epc|ra|sp|gp|tp|t\d|s\d{1,2}|a\d) ?: ?([0-9a-f]{8,16})\b")
_PPC_REGISTER = re.compile(r"\b(NIP|LR|CTR): {0,4}([0-9a-f]{8,16})\b")
_NUMBERED = (
    (re.compile(r"(?:GPR|gpr) ?(\d{1,2}): ?((?:[0-9a-f]{8,16} ?){1,8})"), "ppc64", "r"),
    (re.compile(r"\$ {0,2}(\d{1,2}) {0,4}: ?((?:[0-9a-f]{8,16} ?){1,4})"), "mips", "$"),
    (re.compile(r"Krnl GPRS:(\d?) ?((?:[0-9a-f]{16} ?){1,4})"), "s390x", "r"),
)
_MIPS_EPC = re.compile(r"epc {0,4}: ?([0-9a-f]{8,16}) [A-Za-z_0(]")
_FACTS = tuple(
    (name, machine, re.compile(pattern))
    for name, machine, pattern in (
        ("error_code", "", r"#PF: error_code\(0x([0-9a-f]{1,8})\)"),
        ("esr", "arm64", r"ESR = 0x([0-9a-f]{8,16})"),
        ("wnr", "arm64", r"CM = \d, WnR = (\d)"),
        ("ec", "arm64", r"EC = 0x([0-9a-f]{2})"),
        ("fsc", "arm64", r"FSC = 0x([0-9a-f]{2})"),
        (
            "badaddr",
            "riscv64",
            r"(?:s?status): [0-9a-f]{8,16} (?:badaddr|s?tval): ([0-9a-f]{8,16})",
        ),
        ("dar", "", r"(?:CFAR: \S{1,20} )?(?:DAR|DEAR): ([0-9a-f]{8,16})"),
        ("failing", "s390x", r"Failing address: ([0-9a-f]{8,16})"),
        ("badva", "mips", r"BadVA {0,2}: ?([0-9a-f]{8,16})"),
        ("badv", "loongarch64", r"BADV: ?([0-9a-f]{8,16})"),
        ("cause_mips", "mips", r"Cause {0,2}: ?[0-9a-f]{8} \(ExcCode ([0-9a-f]{2})\)"),
        ("estat", "loongarch64", r"ESTAT: ?([0-9a-f]{8,16})"),
        ("faulting", "ppc64", r"Faulting instruction address: 0x([0-9a-f]{8,16})"),
    )
)
_MORE = {
    "badaddr": ("cause", re.compile(r"cause: ([0-9a-f]{8,16})")),
    "dar": ("dsisr", re.compile(r"DSISR: ([0-9a-f]{8,16})")),
    "failing": ("teid", re.compile(r"TEID: ([0-9a-f]{8,16})")),
}
_TRAP = re.compile(r"REGS: [0-9a-f]{8,16} TRAP: ([0-9a-f]{3,4})")
_FACT_START = re.compile(
    r"#PF: e|ESR|EC =|FSC|CM =|s?status: |CFAR|DAR|DEAR|Failing|BadVA|BADV|Cause|ESTAT|Faulting|ISV"
)


def read(state: ProcessorState, text: str) -> bool:
    """Take registers and status bits from a line, if it has some."""
    if text[0] in "#ECFDsBI" and _FACT_START.match(text):
        return _read_facts(state, text)
    return any(reader(state, text) for reader in _READERS)


def _read_x86(state: ProcessorState, text: str) -> bool:
    if text.startswith("REGS:") or not _X86.match(text):
        return False
    found = _X86_REGISTER.findall(text)
    if found and not state.machine:
        state.machine = "i386" if found[0][0].startswith("E") else "x86-64"
    return _keep(state, found)


def _read_numbered(state: ProcessorState, text: str) -> bool:
    """Read the lines of ppc, mips and s390, which number their registers from the first on."""
    for pattern, machine, letter in _NUMBERED:
        if match := pattern.match(text):
            state.machine = state.machine or machine
            first = int(match[1] or 0)
            words = match[2].split()
            return _keep(state, [(f"{letter}{first + i}", word) for i, word in enumerate(words)])
    return False


def _read_arm64(state: ProcessorState, text: str) -> bool:
    if text[0] not in "xspl" or not _ARM64.match(text):
        return False
    found = _ARM64_REGISTER.findall(text)
    if not found and not text.startswith("pstate"):
        return False
    state.machine = state.machine or "arm64"
    return _keep(state, found) or text.startswith("pstate")


def _read_arm(state: ProcessorState, text: str) -> bool:
    if not _ARM.match(text) or "epc" in text or not (found := _ARM_REGISTER.findall(text)):
        return False
    state.machine = state.machine or "arm"
    if state.address is None and found[0][0] == "pc":
        state.address = int(found[0][1], 16)
    return _keep(state, found)


def _read_riscv(state: ProcessorState, text: str) -> bool:
    if not _RISCV.match(text) or _MIPS_EPC.match(text):
        return False
    found = _RISCV_REGISTER.findall(text)
    if len(found) < 2 and not (found and found[0][0] in ("gp", "epc")):
        return False
    state.machine = state.machine or "riscv64"
    if found[0][0] == "epc" and state.address is None:
        state.address = int(found[0][1], 16)
    return _keep(state, found)


def _read_facts(state: ProcessorState, text: str) -> bool:
    for name, machine, pattern in _FACTS:
        match = pattern.match(text) or (pattern.search(text[:120]) if name == "wnr" else None)
        if match is None:
            continue
        state.facts.setdefault(name, int(match[1], 16))
        if machine and not state.machine:
            state.machine = machine
        if name == "error_code":
            state.facts["x86"] = 1
        if more := _MORE.get(name):
            key, further = more
            if found := further.search(text[:200]):
                state.facts.setdefault(key, int(found[1], 16))
        if name == "dar" and not state.machine:
            state.machine = "ppc64"
        return True
    return False


def _read_ppc(state: ProcessorState, text: str) -> bool:
    if not text.startswith(("NIP:", "REGS:")):
        return False
    if match := _TRAP.match(text):
        state.facts.setdefault("trap", int(match[1], 16))
        state.machine = state.machine or "ppc64"
        return True
    found = _PPC_REGISTER.findall(text)
    if not found:
        return False
    state.machine = state.machine or ("ppc" if len(found[0][1]) == 8 else "ppc64")
    if found[0][0] == "NIP" and state.address is None:
        state.address = int(found[0][1], 16)
    return _keep(state, [(name.lower(), value) for name, value in found[1:]])


def _keep(state: ProcessorState, found: list[tuple[str, str]]) -> bool:
    for name, value in found:
        if len(state.registers) < 80:
            state.registers.setdefault(name, int(value, 16))
    return bool(found)


_READERS = (_read_x86, _read_numbered, _read_ppc, _read_arm64, _read_arm, _read_riscv)
