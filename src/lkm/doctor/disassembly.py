"""The instructions around a fault: from the module itself, else from the log's ``Code:`` bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lkm.doctor.reports.facts import Code

_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its offset from the function (or from the fault), text, is it the fault."""

    offset: int
    data: bytes
    text: str
    fault: bool = False


# "   9:	c7 04 25 ...	movl   $0x2a,0x0", and relocations on lines of their own
_LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?(.*)$")
_RELOCATION = re.compile(r"^\s*[0-9a-f]+: (R_\w+)\t(\S+)")


def of_function(
    path: Path, section: str, start: int, size: int, fault: int, *, around: int = 48
) -> tuple[Instruction, ...]:
    """Disassemble a function of the ELF file ``path`` near the byte ``fault`` (from its start).

    ``start`` is the function's address in ``section``. Empty when objdump is not installed.
    """
    tool = shutil.which("objdump")
    if tool is None:
        return ()
    end = start + min(size, fault + around) if size else start + fault + around
    command = [tool, "-d", "-r", "--section", section, f"--start-address={start:#x}"]
    command += [f"--stop-address={end:#x}", str(path)]
    found = _parse(_run(command), start, fault)
    return tuple(i for i in found if i.offset >= fault - around)


# Machines that objdump on an x86 host does not know are capstone's.
_OBJDUMP = {"x86-64": "i386:x86-64", "i386": "i386", "": "i386:x86-64"}


def of_code(code: Code, machine: str = "x86-64") -> tuple[Instruction, ...]:
    """Disassemble the machine code of a report, of that machine; offsets count from the trap.

    The bytes of an x86 before it may start in the middle of an instruction: the start that makes
    the trapping one begin where the log says is taken. Where no disassembler for the machine is
    installed: the bytes, undecoded.
    """
    if code.decoded:
        return tuple(Instruction(at, data, text, at == 0) for at, data, text in code.decoded)
    if not code.data:
        return ()
    if machine not in _OBJDUMP:
        return _by_capstone(code, machine) or _undecoded(code)
    tool = shutil.which("objdump")
    if tool is None:
        return _x86_by_capstone(code, machine) or _undecoded(code)
    objdump = _OBJDUMP[machine]
    for skip in range(min(16, code.fault + 1)):
        found = _disassemble(tool, code.data[skip:], code.fault - skip, objdump)
        if any(i.fault for i in found):
            return found
    return _disassemble(tool, code.data[code.fault :], 0, objdump)


def _modes(machine: str) -> tuple[int, int] | None:
    import capstone as cs  # an optional extra; takes 50 ms

    known = {
        "x86-64": (cs.CS_ARCH_X86, cs.CS_MODE_64),
        "i386": (cs.CS_ARCH_X86, cs.CS_MODE_32),
        "arm64": (cs.CS_ARCH_ARM64, cs.CS_MODE_LITTLE_ENDIAN),
        "arm": (cs.CS_ARCH_ARM, cs.CS_MODE_ARM),
        "riscv64": (cs.CS_ARCH_RISCV, cs.CS_MODE_RISCV64 | cs.CS_MODE_RISCVC),
        "ppc64": (cs.CS_ARCH_PPC, cs.CS_MODE_64 | cs.CS_MODE_BIG_ENDIAN),
        "ppc": (cs.CS_ARCH_PPC, cs.CS_MODE_32 | cs.CS_MODE_BIG_ENDIAN),
        "mips": (cs.CS_ARCH_MIPS, cs.CS_MODE_MIPS32 | cs.CS_MODE_BIG_ENDIAN),
        "s390x": (cs.CS_ARCH_SYSZ, cs.CS_MODE_BIG_ENDIAN),
        "sparc64": (cs.CS_ARCH_SPARC, cs.CS_MODE_V9 | cs.CS_MODE_BIG_ENDIAN),
    }
    return known.get(machine)


def _decode(data: bytes, at: int, modes: tuple[int, int]) -> list[Instruction]:
    """Decode as far as it can be; what is no instruction stands as its bytes."""
    import capstone as cs

    engine = cs.Cs(*modes)
    engine.skipdata = True
    return [
        Instruction(at + i.address, bytes(i.bytes), f"{i.mnemonic} {i.op_str}".strip())
        for i in engine.disasm(data, 0)
    ]


def _by_capstone(code: Code, machine: str) -> tuple[Instruction, ...]:
    """Decode instructions of one size, or, for riscv, parcels from the trapping one on."""
    try:
        modes = _modes(machine)
    except ImportError:
        return ()
    if modes is None:
        return ()
    before = _decode(code.data[: code.fault], -code.fault, modes)
    after = _decode(code.data[code.fault :], 0, modes)
    if not after:
        return ()
    first = after[0]
    return (*before, Instruction(0, first.data, first.text, fault=True), *after[1:])


def _x86_by_capstone(code: Code, machine: str) -> tuple[Instruction, ...]:
    try:
        modes = _modes(machine or "x86-64")
    except ImportError:
        return ()
    assert modes is not None
    for skip in range(min(16, code.fault + 1)):
        found = _decode(code.data[skip:], skip - code.fault, modes)
        if any(i.offset == 0 for i in found):
            return tuple(Instruction(i.offset, i.data, i.text, i.offset == 0) for i in found)
    return ()


def _disassemble(tool: str, data: bytes, fault: int, machine: str) -> tuple[Instruction, ...]:
    with tempfile.NamedTemporaryFile(prefix="lkm-code-") as file:
        file.write(data)
        file.flush()
        command = [tool, "-D", "-b", "binary", "-m", machine, file.name]
        found = _parse(_run(command), 0, fault)
    return tuple(Instruction(i.offset - fault, i.data, i.text, i.fault) for i in found)


def _undecoded(code: Code) -> tuple[Instruction, ...]:
    before, at = code.data[: code.fault], code.data[code.fault :]
    found = [Instruction(-len(before), before, "")] if before else []
    return (*found, Instruction(0, at, "", fault=True))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _parse(text: str, start: int, fault: int) -> tuple[Instruction, ...]:
    found: list[Instruction] = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            offset = int(match[1], 16) - start
            data = bytes.fromhex(match[2])
            if match[3] or not found:
                found.append(Instruction(offset, data, match[3].strip(), offset == fault))
            else:  # the rest of a long instruction's bytes
                last = found[-1]
                found[-1] = Instruction(last.offset, last.data + data, last.text, last.fault)
        elif found and (match := _RELOCATION.match(line)):
            last = found[-1]
            found[-1] = Instruction(
                last.offset, last.data, f"{last.text}  # {match[2]}", last.fault
            )
    return tuple(found)
