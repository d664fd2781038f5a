"""Booting a kernel for the first time, up to the state that is kept as a snapshot."""

from __future__ import annotations

import mmap
import struct
import time
from typing import IO

import unicorn

from lkm.errors import UnsupportedError
from lkm.kernel.emulated import arena as arenas
from lkm.kernel.emulated import system_calls as abi
from lkm.kernel.emulated.arena import Arena, ArenaState
from lkm.kernel.emulated.hardware import engine_context, layout
from lkm.kernel.emulated.hardware.death import MachineDeath
from lkm.kernel.emulated.hardware.devices import DeviceState
from lkm.kernel.emulated.hardware.memory import PAGE
from lkm.kernel.emulated.hardware.page_map import address_of
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.start import boot, cache, snapshot
from lkm.kernel.emulated.start.restored import new_engine
from lkm.kernel.emulated.start.snapshot import MachineState
from lkm.kernel.emulated.system_calls import Number
from lkm.kernel.emulated.tasks import Tasks, nothing
from lkm.vmlinux.image import VmlinuxImage

RAM_SIZE = 256 << 20
_MOUNTS = (
    ("proc", "/proc", "proc"),
    ("sysfs", "/sys", "sysfs"),
    ("devtmpfs", "/dev", "devtmpfs"),
    ("debugfs", "/sys/kernel/debug", "debugfs"),
    ("securityfs", "/sys/kernel/security", "securityfs"),
)
_SETTLING_SECONDS = 3
_NO_SUCH_DEVICE, _NO_SUCH_FILE = 19, 2


def first_boot(image: VmlinuxImage, boot_sector: bytes, command_line: str) -> cache.Writer:
    """Boot, prepare user space, and return what writes the snapshot."""
    start = time.monotonic()
    kernel_layout, context_layout = layout.read(image), engine_context.probe()
    uc = new_engine()
    ram = mmap.mmap(-1, RAM_SIZE)
    view = memoryview(ram)
    pointer = address_of(ram)
    uc.mem_map_ptr(0, RAM_SIZE, unicorn.UC_PROT_ALL, pointer)
    boot.load(uc, image, boot_sector, RAM_SIZE, command_line)
    processor = Processor(uc, view, kernel_layout, context_layout, DeviceState())
    try:
        tasks = Tasks(processor, nothing)
        tasks.run_to_init()
        arena = _prepare(tasks, processor)
        # Now: letting go of the emulator's memory changes the state that it has.
        context = processor.context.save()
    except MachineDeath as death:
        raise UnsupportedError(
            f"{image.path} does not boot in the emulator: {death.reason}",
            hint="use --kernel vm for this kernel",
        ) from death
    finally:
        processor.close()
    state = MachineState(
        layout=kernel_layout,
        context_layout=context_layout,
        context=context,
        devices=processor.devices.state,
        arena=arena,
        main=tasks.main,
        command_line=command_line,
        boot_seconds=time.monotonic() - start,
    )

    def write(stream: IO[bytes]) -> None:
        snapshot.write(stream, view, state)

    return write


def _prepare(tasks: Tasks, processor: Processor) -> ArenaState:
    """Give PID 1 its arena, block SIGCHLD so that it can be waited for, mount what /init would."""
    flags = abi.MAP_PRIVATE_ANONYMOUS_POPULATE | abi.MAP_LOCKED
    address = tasks.call(Number.MMAP, 0, arenas.SIZE, abi.PROT_READ_WRITE, flags, -1, 0)
    if address < 0:
        raise MachineDeath(f"PID 1 gets no memory (errno {-address})")
    pages = range(address, address + arenas.SIZE, PAGE)
    state = ArenaState(address, tuple(processor.memory.physical(page) for page in pages))
    arena = Arena(processor.uc, processor.memory.ram, state)
    signals = arena.put(struct.pack("<Q", 1 << (abi.SIGCHLD - 1)))
    tasks.call(Number.RT_SIGPROCMASK, abi.SIG_BLOCK, signals, 0, 8)
    for source, target, kind in _MOUNTS:
        names = (arena.text(source), arena.text(target), arena.text(kind))
        result = tasks.call(Number.MOUNT, *names, 0, 0)
        if result < 0 and -result not in (_NO_SUCH_DEVICE, _NO_SUCH_FILE):
            raise MachineDeath(f"{kind} cannot be mounted (errno {-result})")
    # What the kernel put off at boot is not to happen while a module is tried.
    tasks.call(Number.NANOSLEEP, arena.put(struct.pack("<qq", _SETTLING_SECONDS, 0)), 0)
    return state
