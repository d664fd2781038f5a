"""What a processor says of a fault: the address, what was tried there, and why it was refused.

Sources: ``arch/x86/include/asm/trap_pf.h``, ``arch/arm64/include/asm/esr.h`` and ``mm/fault.c:
fault_info``, ``arch/arm/mm/fsr-2level.c``, ``arch/riscv/include/asm/csr.h`` (EXC_*),
``arch/powerpc/include/asm/reg.h`` (DSISR_*), ``arch/s390/include/asm/fault.h`` (TEID),
``arch/mips/include/asm/mipsregs.h`` (EXCCODE_*), ``arch/loongarch/include/asm/loongarch.h``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """``access`` is ``read``, ``write``, ``execute`` or "" where nothing tells."""

    address: int | None = None
    access: str = ""
    causes: tuple[str, ...] = ()
    error_code: int | None = None


READ, WRITE, EXECUTE = "read", "write", "execute"

ALIGNMENT = "alignment fault: this memory, or this instruction, takes aligned addresses only"
PERMISSION = "permission fault: the memory is mapped, but not for this use"
UNMAPPED = "no memory is mapped there"
ABORT = "external abort: the bus, or the device behind it, answered with an error"

_ERROR = re.compile(
    r"(?:Internal error: )?(?:Oops|invalid opcode|general protection fault|divide error|"
    r"illegal operation|[\w ]{3,40} exception)(?: - [\w ]{1,40})?: (?P<code>[0-9a-f]{1,16}) "
)
_ADDRESS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:virtual|virtual user|user) address:? (?:0x)?(?P<a>[0-9a-f]{8,16})\b",
        r"non-canonical address (?:0x)?(?P<a>[0-9a-f]{1,16})\b",
        r"(?:for )?(?:data )?(?:at )?address:? {1,16}(?:0x)?(?P<a>[0-9a-f]{1,16})\b",
        r"(?:dereference|request)(?: on (?:read|write|exec))? at (?:0x)?(?P<a>[0-9a-f]{1,16})\b",
        r"\b(?:read|write|access)(?: of size \d{1,8})? (?:at|to) (?:addr "
        r")?(?:0x)?(?P<a>[0-9a-f]{8,16})\b",
        r"\((?:0x)?(?P<a>[0-9a-f]{8,16})\) at 0x",
    )
)
_NULL = re.compile(r"dereference at\s{1,16}\((?:null|ptrval)\)|dereference at\s{1,16}<null>")
_WORDS_ACCESS = re.compile(
    r"supervisor (?P<x86>read|write|instruction)|on (?P<ppc>read|write) (?:at|for)|"
    r"(?P<kasan>Read|Write) of size|execute from non-executable|for (?P<exec>instruction fetch)|"
    r"(?P<kfence>read|write) (?:in |at 0x)"
)
_PTR_RANGE = re.compile(r"KASAN: .{1,40} in range \[0x(?P<a>[0-9a-f]{16})-")


def judge(machine: str, facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    """Return what the status bits in ``facts``, and the report's sentences, tell of the fault."""
    error_code = _error_code(facts, sentences)
    found = _BY_MACHINE.get(machine, _nothing)({**facts, "oops": error_code or 0}, sentences)
    access = found.access or _access_in_words(sentences)
    address = found.address
    if address is None or machine.startswith(("x86", "i386")) or not machine:
        address = _address_in_words(sentences) if address is None else address
    if error_code is None and not address and not access and not found.causes:
        return FaultFacts(address)
    return FaultFacts(address, access, found.causes, error_code)


def _error_code(facts: Mapping[str, int], sentences: Sequence[str]) -> int | None:
    if "error_code" in facts:
        return facts["error_code"]
    for text in sentences:
        if match := _ERROR.match(text):
            return int(match["code"], 16)
    return None


def _address_in_words(sentences: Sequence[str]) -> int | None:
    for text in sentences:
        if match := _PTR_RANGE.search(text[:300]):
            return int(match["a"], 16)
    for text in sentences:
        if _NULL.search(text[:300]):
            return 0
        for pattern in _ADDRESS:
            if match := pattern.search(text[:300]):
                return int(match["a"], 16)
    return None


def _access_in_words(sentences: Sequence[str]) -> str:
    for text in sentences:
        if match := _WORDS_ACCESS.search(text[:300]):
            word = (match[match.lastgroup] if match.lastgroup else "execute").lower()
            return {"instruction": EXECUTE, "instruction fetch": EXECUTE}.get(word, word)
    return ""


def _nothing(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    return FaultFacts()


def _is_page_fault(sentences: Sequence[str]) -> bool:
    said = " ".join(sentences)
    return any(word in said for word in ("handle", "page fault", "#PF", "NULL pointer"))


def _x86(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    code = facts.get("error_code", facts.get("oops", 0))
    if not _is_page_fault(sentences):
        return FaultFacts()
    causes = []
    if code & 1:
        causes.append(PERMISSION)
    if code & 8:
        causes.append("reserved bits are set in a page table: the table is damaged")
    if code & 0x20:
        causes.append("a protection key forbids it")
    access = EXECUTE if code & 0x10 else WRITE if code & 2 else READ
    return FaultFacts(None, access, tuple(causes))


_FAULT_STATUS = (
    (0x21, 0x21, ALIGNMENT),
    (0x04, 0x07, UNMAPPED),
    (0x08, 0x0B, "access flag fault: the page was not marked as used"),
    (0x0C, 0x0F, PERMISSION),
    (0x10, 0x10, ABORT),
    (0x11, 0x11, "tag check fault (MTE): the pointer's tag is not the memory's"),
    (0x14, 0x17, ABORT),
    (0x00, 0x03, "address size fault: a page table points beyond the machine's memory"),
)


def _arm64(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    esr = facts.get("esr", facts["oops"])
    ec = facts.get("ec", esr >> 26 & 0x3F)
    if ec in (0x24, 0x25):
        write = facts.get("wnr", esr >> 6 & 1)
        access = WRITE if write else READ
    elif ec in (0x20, 0x21):
        access = EXECUTE
    else:
        word = {0x22: "the program counter was not aligned", 0x2F: ABORT,
                0x0D: "branch target exception (BTI): a jump to where none may land",
                0x1C: "pointer authentication failed (PAC): a return address was changed",
                0x3C: "a BRK instruction: BUG() or a sanitizer's trap"}.get(ec, "")  # fmt: skip
        return FaultFacts(None, "", (word,) if word else ())
    status = facts.get("fsc", esr & 0x3F)
    causes = [text for low, high, text in _FAULT_STATUS if low <= status <= high]
    return FaultFacts(None, access, tuple(causes))


_ARM_STATUS = {
    1: ALIGNMENT, 3: ALIGNMENT, 5: UNMAPPED, 7: UNMAPPED, 0xD: PERMISSION, 0xF: PERMISSION,
    8: ABORT,
    0xA: ABORT, 0x16: ABORT, 0x406: ABORT, 9: "domain fault", 0xB: "domain fault",
}  # fmt: skip


def _arm(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    code = facts["oops"]
    if any("undefined instruction" in text or "BUG" in text for text in sentences):
        return FaultFacts()
    access = EXECUTE if code & 0x80000000 else WRITE if code & 0x800 else READ
    cause = _ARM_STATUS.get(code & 0x40F)
    return FaultFacts(None, access, (cause,) if cause else ())


_RISCV_CAUSES = {
    0: (EXECUTE, ALIGNMENT), 1: (EXECUTE, ABORT), 2: ("", "illegal instruction"),
    3: ("", "a breakpoint: BUG()"), 4: (READ, ALIGNMENT), 5: (READ, ABORT), 6: (WRITE, ALIGNMENT),
    7: (WRITE, ABORT), 12: (EXECUTE, UNMAPPED), 13: (READ, UNMAPPED), 15: (WRITE, UNMAPPED),
}  # fmt: skip


def _riscv(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    if "cause" not in facts:
        return FaultFacts()
    access, cause = _RISCV_CAUSES.get(facts["cause"] & 0xFF, ("", ""))
    address = facts.get("badaddr") if access else None
    return FaultFacts(address, access, (cause,) if cause else ())


def _ppc(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    trap, dsisr = facts.get("trap"), facts.get("dsisr", 0)
    if trap in (0x400, 0x480):
        return FaultFacts(None, EXECUTE, (UNMAPPED,))
    if trap == 0x700:
        return FaultFacts(
            None, "", ("a trap instruction: BUG() or WARN(), or an illegal instruction",)
        )
    if trap == 0x600:
        return FaultFacts(facts.get("dar"), "", (ALIGNMENT,))
    if trap not in (0x300, 0x380, None) or "dar" not in facts:
        return FaultFacts()
    causes = []
    if dsisr & 0x08000000:
        causes.append(PERMISSION)
    elif dsisr & 0x40000000:
        causes.append(UNMAPPED)
    return FaultFacts(facts["dar"], WRITE if dsisr & 0x02000000 else READ, tuple(causes))


def _s390(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    teid = facts.get("teid", facts.get("failing"))
    if teid is None:
        return FaultFacts()
    access = {0x400: WRITE, 0x800: READ}.get(teid & 0xC00, "")
    # The address is that of the page: the lower bits are flags.
    return FaultFacts(facts.get("failing"), access, (UNMAPPED,))


_MIPS_CODES = {
    1: (WRITE, PERMISSION), 2: (READ, UNMAPPED), 3: (WRITE, UNMAPPED), 4: (READ, ALIGNMENT),
    5: (WRITE, ALIGNMENT), 6: (EXECUTE, ABORT), 7: (READ, ABORT), 9: ("", "a breakpoint"),
    10: ("", "reserved instruction: not of this processor"), 13: ("", "a trap instruction: BUG()"),
}  # fmt: skip


def _mips(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    access, cause = _MIPS_CODES.get(facts.get("cause_mips", -1), ("", ""))
    return FaultFacts(facts.get("badva") if access else None, access, (cause,) if cause else ())


_LOONGARCH_CODES = {1: (READ, UNMAPPED), 2: (WRITE, UNMAPPED), 3: (EXECUTE, UNMAPPED),
                    4: (WRITE, PERMISSION), 8: ("", ABORT), 9: ("", ALIGNMENT)}  # fmt: skip


def _loongarch(facts: Mapping[str, int], sentences: Sequence[str]) -> FaultFacts:
    access, cause = _LOONGARCH_CODES.get(facts.get("estat", 0) >> 16 & 0x3F, ("", ""))
    return FaultFacts(facts.get("badv") if access else None, access, (cause,) if cause else ())


_BY_MACHINE: dict[str, Callable[[Mapping[str, int], Sequence[str]], FaultFacts]] = {
    "": _x86, "x86-64": _x86, "i386": _x86, "arm64": _arm64, "arm": _arm, "riscv64": _riscv,
    "ppc64": _ppc, "ppc": _ppc, "s390x": _s390, "mips": _mips, "loongarch64": _loongarch,
}  # fmt: skip
