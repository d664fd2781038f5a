"""What a report holds, taken apart: frozen facts about one oops, BUG, warning, stall or finding."""

from __future__ import annotations

from dataclasses import dataclass

from lkm import taint
from lkm.doctor.reports.titles import Kind


@dataclass(frozen=True, slots=True)
class Location:
    """``function+offset/size [module]``; ``module`` is empty for the kernel itself.

    ``size`` is the distance to the next symbol, 0 when not given; ``address`` where the log has
    it. ``reliable`` is false for what the unwinder marked with ``?``: it only lay on the stack.
    ``source`` is ``file:line`` where the log was decoded already (``decode_stacktrace.sh``).
    """

    function: str
    offset: int
    size: int
    module: str = ""
    address: int | None = None
    reliable: bool = True
    source: str = ""

    def __str__(self) -> str:
        if not self.function:
            return f"{self.address or 0:#x}"
        text = self.function
        if self.offset or self.size or not self.source:
            text += f"+{self.offset:#x}"
        if self.size:
            text += f"/{self.size:#x}"
        if self.source:
            text += f" ({self.source})"
        return f"{text} [{self.module}]" if self.module else text


@dataclass(frozen=True, slots=True)
class Code:
    """The machine code around the instruction pointer; ``fault`` indexes the trapping byte.

    ``data`` is as it lies in the memory of a little-endian machine, and for big-endian ones of
    theirs. ``decoded`` are the lines of a kernel that disassembles by itself (s390x): address from
    the fault, bytes, text.
    """

    data: bytes
    fault: int
    decoded: tuple[tuple[int, bytes, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LinkedModule:
    """One entry of ``Modules linked in``: name, taint letters, and ``+`` loading, ``-`` going."""

    name: str
    taints: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class OtherTrace:
    """A further trace of the same report: who allocated an object, who freed it."""

    title: str
    frames: tuple[Location, ...]


@dataclass(frozen=True, slots=True)
class Oops:
    """One report; what the log did not say is empty or ``None``.

    ``machine`` is the architecture by the form of its registers (``x86-64``, ``arm64``, …),
    ``access`` is ``read``, ``write`` or ``execute``, ``causes`` are the processor's own words for
    the fault (``alignment fault``), ``details`` the sentences of the kernel that explain it.
    """

    kind: Kind
    title: str
    first_line: int
    last_line: int
    time: float | None = None
    details: tuple[str, ...] = ()
    source: str = ""
    error_code: int | None = None
    fault_address: int | None = None
    access: str = ""
    causes: tuple[str, ...] = ()
    machine: str = ""
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""
    release: str = ""
    hardware: str = ""
    taints: tuple[taint.TaintFlag, ...] = ()
    location: Location | None = None
    code: Code | None = None
    registers: tuple[tuple[str, int], ...] = ()
    trace: tuple[Location, ...] = ()
    others: tuple[OtherTrace, ...] = ()
    modules: tuple[LinkedModule, ...] = ()
    complete: bool = False
