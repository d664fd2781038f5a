"""Instructions of the kernel that the emulator needs otherwise.

RDTSC cannot be intercepted, so it becomes an IN from a port of ours, of the same length. PAUSE
leaves the emulation loop each time, so it becomes a NOP. A task's return to user mode becomes HLT,
where the emulation stops. Busy-wait delays return at once.

Found by disassembling the functions that hold the bytes: the same bytes also occur inside other
instructions. The first five bytes of a function are never touched, for ftrace checks them
(``arch/x86/kernel/ftrace.c: ftrace_verify_code``).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkm.errors import missing_extra
from lkm.kernel.emulated.hardware.devices import TSC_PORT

if TYPE_CHECKING:  # only who boots a kernel has its image read
    from lkm.vmlinux.image import VmlinuxImage

HALT = b"\xf4"
_RETURN = b"\xc3"
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_FENTRY_SIZE = 5
_IN_EAX = b"\xe5" + bytes([TSC_PORT])
REPLACEMENTS = {
    "rdtsc": (b"\x0f\x31", _IN_EAX),
    "rdtscp": (b"\x0f\x01\xf9", _IN_EAX + b"\x90"),
    "pause": (b"\xf3\x90", b"\x66\x90"),
}
_TEXT_SECTIONS = (".text", ".init.text", ".exit.text")
_ALTERNATIVES = ".altinstr_replacement"
_DELAYS = ("__const_udelay", "__udelay", "__ndelay")
USER_RETURN = "swapgs_restore_regs_and_return_to_usermode"


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes to put at a virtual address."""

    address: int
    data: bytes


def of_kernel(image: VmlinuxImage) -> tuple[Patch, ...]:
    """Return all patches of a kernel's own text."""
    symbols = image.kallsyms
    starts = sorted(set(symbols.addresses))
    found = {
        patch.address: patch
        for section in (*_TEXT_SECTIONS, _ALTERNATIVES)
        for patch in _of_section(image, section, starts)
    }
    patches = [found[address] for address in sorted(found)]
    patches.append(Patch(symbols[USER_RETURN], HALT))
    for name in _DELAYS:
        address = symbols.get(name)
        if address is not None:
            skip = len(_ENDBR64) if image.elf.read(address, 4) == _ENDBR64 else 0
            patches.append(Patch(address + skip + _FENTRY_SIZE, _RETURN))
    return tuple(patches)


def of_text(text: bytes, address: int) -> tuple[Patch, ...]:
    """Return the patches of a module's section, laid out at ``address``."""
    if not any(pattern in text for pattern, _ in REPLACEMENTS.values()):
        return ()
    return tuple(_disassembled(text, address))


def _of_section(image: VmlinuxImage, name: str, starts: Sequence[int]) -> Iterator[Patch]:
    section, text = image.elf.sections.get(name), image.elf.content(name)
    if section is None or text is None:
        return
    if name == _ALTERNATIVES:
        # Each replacement stands by itself, without a symbol; they are too short to mislead.
        for pattern, replacement in REPLACEMENTS.values():
            for at in _occurrences(text, pattern):
                yield Patch(section.address + at, replacement)
        return
    seen = set()
    for pattern, _ in REPLACEMENTS.values():
        for at in _occurrences(text, pattern):
            index = bisect.bisect_right(starts, section.address + at)
            first = max(starts[index - 1] - section.address, 0)
            if first not in seen:
                seen.add(first)
                last = starts[index] - section.address if index < len(starts) else at + 64
                yield from _disassembled(text[first:last], section.address + first)


def _occurrences(text: bytes, pattern: bytes) -> Iterator[int]:
    at = text.find(pattern)
    while at >= 0:
        yield at
        at = text.find(pattern, at + 1)


def _disassembled(text: bytes, address: int) -> Iterator[Patch]:
    try:
        import capstone  # an extra, and wanted only when a kernel or such a module is prepared
    except ImportError:
        raise missing_extra("capstone", "emulated") from None
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.skipdata = True
    for place, _, mnemonic, _ in disassembler.disasm_lite(text, address):
        if mnemonic in REPLACEMENTS:
            yield Patch(place, REPLACEMENTS[mnemonic][1])
