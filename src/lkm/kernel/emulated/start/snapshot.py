"""A machine at rest, in one file: its memory (sparse), its state, and a footer.

The memory is mapped privately by every machine restored from it, so that they share what they do
not change. The footer is written last: a file that was cut short has none and reads as absent.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from typing import IO

import msgspec

from lkm.errors import FormatError
from lkm.kernel.emulated.arena import ArenaState
from lkm.kernel.emulated.hardware.devices import DeviceState
from lkm.kernel.emulated.hardware.engine_context import ContextLayout
from lkm.kernel.emulated.hardware.layout import KernelLayout
from lkm.kernel.emulated.hardware.memory import PAGE
from lkm.kernel.emulated.hardware.processor import UserReturn

_FOOTER = struct.Struct("<16sQQI")
_MAGIC = b"lkm-emulated-002"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class MachineState:
    """Everything of a machine but its memory; ``boot_seconds`` is what starting it took."""

    layout: KernelLayout
    context_layout: ContextLayout
    context: bytes
    devices: DeviceState
    arena: ArenaState
    main: UserReturn
    command_line: str
    boot_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open snapshot file: the descriptor, the size of the memory in it, the state."""

    descriptor: int
    ram_size: int
    state: MachineState

    def map(self) -> mmap.mmap:
        """Return the memory, writable, with changes that stay in this process."""
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
        return mmap.mmap(self.descriptor, self.ram_size, flags, mmap.PROT_READ | mmap.PROT_WRITE)

    def close(self) -> None:
        """Close the file; machines restored from it go on."""
        os.close(self.descriptor)


def write(stream: IO[bytes], ram: memoryview, state: MachineState) -> None:
    """Write a snapshot; pages of zeros take no room."""
    for start in range(0, len(ram), _CHUNK):
        chunk = bytes(ram[start : start + _CHUNK])
        if chunk.count(0) == len(chunk):
            continue
        for at in range(0, len(chunk), PAGE):
            page = chunk[at : at + PAGE]
            if page.count(0) != PAGE:
                stream.seek(start + at)
                stream.write(page)
    body = msgspec.msgpack.encode(state)
    stream.seek(len(ram))
    stream.write(body)
    stream.write(_FOOTER.pack(_MAGIC, len(ram), len(body), zlib.crc32(body)))


def read(descriptor: int, path: str = "") -> Snapshot:
    """Return the snapshot in a file; raises ``FormatError`` for one that is not whole.

    The descriptor then belongs to the snapshot.
    """
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, _FOOTER.size, max(size - _FOOTER.size, 0))
    if len(end) < _FOOTER.size:
        raise FormatError("a snapshot", f"{size} bytes", path=path)
    magic, ram_size, body_size, checksum = _FOOTER.unpack(end)
    if magic != _MAGIC or ram_size + body_size + _FOOTER.size != size:
        raise FormatError("a whole snapshot", "one that was cut short", path=path)
    body = os.pread(descriptor, body_size, ram_size)
    if zlib.crc32(body) != checksum:
        raise FormatError("a snapshot", "a damaged one", path=path, offset=ram_size)
    try:
        state = msgspec.msgpack.decode(body, type=MachineState)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError("a snapshot's state", str(error), path=path, offset=ram_size) from None
    return Snapshot(descriptor, ram_size, state)
