"""Causing taint flags for real, in an emulated kernel that is thrown away afterwards.

Source: ``kernel/module/main.c: check_modinfo, module_augment_kernel_taints``,
``kernel/panic.c: add_taint``, ``kernel/sysctl.c: proc_taint``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from lkm import taint
from lkm.doctor import load_way
from lkm.errors import KernelDiedError, KernelError, NotFoundError
from lkm.kernel.kernel import Kernel, LoadFlags
from lkm.kernel.log import LogRecord
from lkm.kernel.open import open_kernel
from lkm.kernels.choose import choose_bootable
from lkm.module.image import ModuleImage
from lkm.operations.demonstration.changed_modules import (
    ModuleSupply,
    field_of,
    section_of,
    with_field,
)
from lkm.operations.running.taint import of_kernel
from lkm.operations.trial import events
from lkm.operations.trial.events import Phase
from lkm.operations.trial.instruments import machine_of
from lkm.taint import TaintFlag

FILE = "/proc/sys/kernel/tainted"
_USUAL, _FREE, _BUSY = "dummy", "crc7", "tun"
_BUSY_DEVICE = "/dev/net/tun"
_INIT, _ENDBR, _CALL, _UD2 = "init_module", b"\xf3\x0f\x1e\xfa", 0xE8, b"\x0f\x0b"


@dataclass(frozen=True, slots=True)
class FlagCause:
    """A taint flag that is set: the loaded modules that carry it, the log lines that tell."""

    bit: int
    letter: str
    meaning: str
    modules: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaintNow:
    """The kernel's taint, as /proc/sys/kernel/tainted has it, and each flag's cause."""

    value: int
    letters: str
    causes: tuple[FlagCause, ...]
    file: str


TaintEvent = events.Event | TaintNow
Emit = Callable[[TaintEvent], None]


@dataclass(frozen=True, slots=True)
class TaintWay:
    """How a flag is caused: in words, and what does it."""

    how: str
    cause: Callable[[_Scene], None]


def how(letter: str) -> str:
    """Return in words how the flag of that letter is caused here."""
    return _way(_flag(letter)).how


def cause_taint(letter: str, release: str, emit: Emit) -> TaintNow:
    """Cause one flag in a fresh kernel, and tell what the kernel says of itself then."""
    started = time.monotonic()
    flag, known = _flag(letter), choose_bootable(release)
    where = f"emulated:{known.release}"
    emit(events.KernelChosen(where, "it was asked for" if release else "", str(known.vmlinuz)))
    opened = time.monotonic()
    with open_kernel(where) as kernel:
        seconds = time.monotonic() - opened
        emit(events.KernelReady(kernel.release, "restored from its snapshot", seconds))
        scene = _Scene(kernel, ModuleSupply(known), flag, emit)
        way = machine_of(kernel).watch_way(load_way.POINTS, scene.entered, scene.logged)
        try:
            _way(flag).cause(scene)
        finally:
            way.end()
        now = _now(kernel)
        added = taint.decode(kernel.taint())
        letters = "".join(each.letter for each in added)
        emit(events.Tainted(letters, tuple(each.meaning for each in added)))
        emit(now)
    problems = () if letter in now.letters else (f"the kernel did not set {letter}",)
    emit(events.Finished(problems, time.monotonic() - started))
    return now


def _flag(letter: str) -> TaintFlag:
    for flag in taint.FLAGS:
        if flag.letter == letter:
            return flag
    raise NotFoundError(f"there is no taint flag {letter!r}")


def _now(kernel: Kernel) -> TaintNow:
    report = of_kernel(kernel)
    causes = tuple(
        FlagCause(c.flag.bit, c.flag.letter, c.flag.meaning, c.modules, c.log)
        for c in report.causes
    )
    return TaintNow(report.value, report.letters, causes, FILE)


class _Scene:
    """A kernel, the modules at hand, and who is told."""

    def __init__(self, kernel: Kernel, supply: ModuleSupply, flag: TaintFlag, emit: Emit) -> None:
        self.kernel = kernel
        self.supply = supply
        self.flag = flag
        self.emit = emit
        self._phase = Phase.LOAD
        self._stages: set[tuple[Phase, str]] = set()

    def entered(self, function: str) -> None:
        """Tell a function of the kernel, once a phase."""
        if self._phase is not Phase.LOAD and function not in load_way.NOT_OF_LOADING:
            return
        if (self._phase, function) not in self._stages:
            self._stages.add((self._phase, function))
            point = load_way.POINTS[function]
            self.emit(events.Stage(self._phase, function, point.meaning, point.gate))

    def logged(self, record: LogRecord) -> None:
        """Tell a record of the log."""
        self.emit(events.Logged(self._phase, record))

    def load(self, module: str, data: bytes, flags: LoadFlags = LoadFlags.NONE) -> None:
        """Load a module's bytes; that the kernel kills its init is what one flag is about."""
        started = time.monotonic()
        try:
            loaded = self.kernel.load(data, flags=flags)
        except KernelDiedError as error:
            self.emit(events.Died(error.operation, error.reason))
        except KernelError as error:
            text = os.strerror(error.errno) if error.errno else ""
            self.emit(events.Refused(f"loading {module}", error.errno, text, error.signal, ()))
        else:
            seconds = time.monotonic() - started
            self.emit(events.Loaded(loaded.name, f"{module}.ko", "", seconds))

    def unload_by_force(self, module: str) -> None:
        """Unload a module that is in use."""
        self._phase = Phase.UNLOAD
        started = time.monotonic()
        self.kernel.unload(module, force=True)
        self.emit(events.Unloaded(module, time.monotonic() - started))


def _way(flag: TaintFlag) -> TaintWay:
    return _WAYS.get(flag.letter, _WRITTEN)


def _written(scene: _Scene) -> None:
    scene.kernel.write_file(FILE, str(scene.flag.mask))
    scene.emit(events.Acted("write", FILE, str(scene.flag.mask)))


def _proprietary(scene: _Scene) -> None:
    data = scene.supply.unsigned(_FREE)
    place = field_of(data, "license")
    data[place.start : place.stop] = b"MIT"[: len(place)].ljust(len(place), b"\0")
    scene.load(_FREE, bytes(data))


def _forced(scene: _Scene) -> None:
    data = scene.supply.signed(_USUAL)
    scene.load(_USUAL, data, LoadFlags.IGNORE_VERMAGIC | LoadFlags.IGNORE_MODVERSIONS)


def _forced_out(scene: _Scene) -> None:
    scene.load(_BUSY, scene.supply.signed(_BUSY))
    scene.kernel.syscalls.open(_BUSY_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    scene.emit(events.Acted("open", _BUSY_DEVICE, ""))
    scene.unload_by_force(_BUSY)


def _died(scene: _Scene) -> None:
    data = scene.supply.unsigned(_USUAL)
    init = next(s for s in ModuleImage.from_bytes(bytes(data)).elf.symbols if s.name == _INIT)
    start = section_of(data, ".init.text").start + init.value
    start += len(_ENDBR) if data.startswith(_ENDBR, start) else 0
    start += 5 if data[start] == _CALL else 0  # of __fentry__, which the kernel patches itself
    data[start : start + len(_UD2)] = _UD2
    scene.load(_USUAL, bytes(data))


def _unsigned(scene: _Scene) -> None:
    scene.load(_USUAL, bytes(scene.supply.unsigned(_USUAL)))


def _out_of_tree(scene: _Scene) -> None:
    data = scene.supply.unsigned(_USUAL)
    place = field_of(data, "intree")
    data[place.start - 2] ^= 1  # the key is another then
    scene.load(_USUAL, bytes(data))


def _marked(text: str) -> Callable[[_Scene], None]:
    def cause(scene: _Scene) -> None:
        scene.load(_USUAL, bytes(with_field(scene.supply.unsigned(_USUAL), text)))

    return cause


_WRITTEN = TaintWay(f"its bit is written to {FILE}, which only ever adds", _written)
_WAYS = {
    "P": TaintWay(f"{_FREE} is loaded, its licence changed to MIT", _proprietary),
    "F": TaintWay(f"{_USUAL} is loaded as modprobe --force does", _forced),
    "R": TaintWay(f"{_BUSY} is unloaded by force while {_BUSY_DEVICE} is open", _forced_out),
    "D": TaintWay(f"{_USUAL}'s init is made to begin with an invalid instruction", _died),
    "C": TaintWay(f"{_USUAL} is loaded, marked staging=Y", _marked("staging=Y")),
    "O": TaintWay(f"{_USUAL} is loaded without intree=Y", _out_of_tree),
    "E": TaintWay(f"{_USUAL} is loaded without its signature", _unsigned),
    "K": TaintWay(f"{_USUAL} is loaded, marked livepatch=Y", _marked("livepatch=Y")),
    "N": TaintWay(f"{_USUAL} is loaded, marked test=Y", _marked("test=Y")),
}
