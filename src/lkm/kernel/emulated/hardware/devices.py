"""Ports and the clock: the devices a kernel without PCI and ACPI still speaks to.

Time is virtual: it advances by a bit at each reading and by a tick at each timer interrupt, so the
same operations always see the same times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware import acpi

HERTZ = 1_000_000_000
TICK = HERTZ // 250
"""Cycles between timer interrupts."""

TSC_PORT = 0xE9
"""The port that stands for RDTSC, which Unicorn cannot intercept (see ``patches``)."""

_PIC_COMMAND, _PIC_DATA = 0x20, 0x21
_PICS = {0x20: 0, 0x21: 0, 0xA0: 1, 0xA1: 1}
_PIT_COUNTERS = (0x40, 0x42)
_KEYBOARD_STATUS, _SYSTEM_CONTROL = 0x64, 0x61
_CMOS_INDEX, _CMOS_DATA = 0x70, 0x71
# 2023-06-15 12:10:30, in binary-coded decimal, 24-hour mode; register 13: the battery is good.
_CMOS = {0: 0x30, 2: 0x10, 4: 0x12, 6: 0x05, 7: 0x15, 8: 0x06, 9: 0x23, 0x32: 0x20}
_CMOS |= {10: 0x26, 11: 0x02, 13: 0x80}
_PIT_STEP = 997
_EDGE_LEVEL = (0x4D0, 0x4D1)
_POWER = (acpi.POWER_STATUS, acpi.POWER_ENABLE, acpi.POWER_CONTROL, *_EDGE_LEVEL)


@dataclass(slots=True)
class DeviceState:
    """The state of the devices; ``tsc`` in cycles, ``interrupts`` counts the timer's."""

    tsc: int = 1 << 30
    interrupts: int = 0
    cmos_index: int = 0
    system_control: int = 0
    pit: int = 0
    power: dict[int, int] = field(default_factory=lambda: {acpi.POWER_CONTROL: acpi.ACPI_MODE})
    pic_masks: list[int] = field(default_factory=lambda: [0xFF, 0xFF])
    pic_vectors: list[int] = field(default_factory=lambda: [0x30, 0x38])
    pic_awaits: list[int] = field(default_factory=lambda: [0, 0])


class Devices:
    """Answers IN and OUT."""

    def __init__(self, state: DeviceState) -> None:
        self.state = state

    def attach(self, hook: Callable[..., int]) -> None:
        """Serve the ports; ``hook`` is the processor's."""
        hook(unicorn.UC_HOOK_INSN, self._in, which=x86.UC_X86_INS_IN)
        hook(unicorn.UC_HOOK_INSN, self._out, which=x86.UC_X86_INS_OUT)

    def advance(self) -> int:
        """Let one tick pass and return the vector of the timer's interrupt."""
        self.state.interrupts += 1
        self.state.tsc += TICK
        return self.state.pic_vectors[0]

    def timestamp(self) -> int:
        """Return the time-stamp counter, advanced by 200 to 711 cycles.

        The step varies, for the kernel gathers entropy from the jitter of these readings and
        would wait for ever if there were none.
        """
        state = self.state
        state.tsc += 200 + (state.tsc * 2654435761 >> 16 & 0x1FF)
        return state.tsc

    def _in(self, uc: unicorn.Uc, port: int, size: int, _data: object) -> int:
        if port == TSC_PORT:
            now = self.timestamp()
            uc.reg_write(x86.UC_X86_REG_RDX, now >> 32)
            return now & 0xFFFFFFFF
        return self._read(port, (1 << 8 * size) - 1)

    def _read(self, port: int, nothing: int) -> int:
        state = self.state
        if port in _POWER:
            return state.power.get(port, 0)
        if port == _CMOS_DATA:
            return _CMOS.get(state.cmos_index, 0)
        if port == _SYSTEM_CONTROL:
            state.system_control ^= 0x20
            return state.system_control
        if port in _PICS and port & 1:
            return state.pic_masks[_PICS[port]]
        if port in _PIT_COUNTERS:
            state.pit = state.pit - _PIT_STEP & 0xFFFF
            return state.pit & 0xFF
        if port == _KEYBOARD_STATUS:
            return 0xFF  # no keyboard controller: i8042_wait would poll for seconds
        return nothing

    def _out(self, _uc: unicorn.Uc, port: int, _size: int, value: int, _data: object) -> None:
        if port == _CMOS_INDEX:
            self.state.cmos_index = value & 0x7F
        elif port == acpi.POWER_ENABLE:
            self.state.power[port] = value
        elif port in _PICS:
            self._program_pic(_PICS[port], port & 1, value)

    def _program_pic(self, which: int, is_data: int, value: int) -> None:
        """Follow the 8259A's initialisation words: the second carries the vector base."""
        state = self.state
        if not is_data:
            if value & 0x10:
                state.pic_awaits[which] = 3
        elif state.pic_awaits[which]:
            if state.pic_awaits[which] == 3:
                state.pic_vectors[which] = value
            state.pic_awaits[which] -= 1
        else:
            state.pic_masks[which] = value
