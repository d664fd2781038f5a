"""The instructions around a fault: from the module itself, else from the log's ``Code:`` bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lkm.doctor.oops import Code

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


def of_code(code: Code, machine: str = "i386:x86-64") -> tuple[Instruction, ...]:
    """Disassemble the bytes of a ``Code:`` line; offsets count from the trapping instruction.

    The bytes before it may start in the middle of an instruction: the start that makes the
    trapping one begin where the log says is taken. Without objdump: the bytes, undecoded.
    """
    tool = shutil.which("objdump")
    if tool is None or not code.data:
        return _undecoded(code)
    for skip in range(min(16, code.fault + 1)):
        found = _disassemble(tool, code.data[skip:], code.fault - skip, machine)
        if any(i.fault for i in found):
            return found
    return _disassemble(tool, code.data[code.fault :], 0, machine)


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
