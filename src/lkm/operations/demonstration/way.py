"""A module's way through the kernel: where the doctor says it will stop, and where it did stop."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lkm.doctor import load_way
from lkm.doctor.finding import name_of
from lkm.doctor.judge import Judgement, case_for, judge
from lkm.doctor.target import Target
from lkm.doctor.target_image import read_image
from lkm.doctor.target_kernel import read_kernel
from lkm.doctor.target_tree import tree_of
from lkm.errors import FormatError, KernelDiedError, KernelError, NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LogRecord
from lkm.kernel.open import open_kernel
from lkm.kernels.choose import Wish, choose
from lkm.kernels.known import KnownKernel
from lkm.module.compression import decompress
from lkm.module.image import ModuleImage
from lkm.operations import explanation
from lkm.operations.trial import events
from lkm.operations.trial.events import Phase
from lkm.operations.trial.instruments import machine_of
from lkm.operations.trial.run import LOCKDOWN, SIG_ENFORCE


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, in words and as commands to copy."""

    text: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the doctor says of the load beforehand; all empty where it says that it loads."""

    loads: bool
    gate: str
    errno: int
    errno_name: str
    message: str
    finding: str
    cause: str
    fixes: tuple[Remedy, ...]
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """After a refused load: the last of the kernel's functions that it came to, and its gate."""

    function: str
    gate: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """Whether kernel and doctor named the same gate and error number."""

    predicted: str
    actual: str
    same: bool
    errno_same: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A load to follow: the file as insmod would load it, after the files ``before`` it.

    ``kernel`` is as for ``open_kernel``, of the emulated kind.
    """

    path: str
    kernel: str = "emulated"
    parameters: str = ""
    sig_enforce: bool = False
    lockdown: bool = False
    before: tuple[str, ...] = ()


WayEvent = events.Event | Predicted | Stopped | Agreed
Emit = Callable[[WayEvent], None]


def follow(question: Question, emit: Emit) -> Agreed:
    """Predict a load, carry it out in an emulated kernel, and say whether the two agree."""
    started = time.monotonic()
    known = _choose(question, emit)
    opened = time.monotonic()
    with open_kernel(f"emulated:{known.release}") as kernel:
        seconds = time.monotonic() - opened
        emit(events.KernelReady(kernel.release, "restored from its snapshot", seconds))
        _set_policy(kernel, question)
        target = _target(kernel, known)
        for path in question.before:
            _load_before(kernel, path, emit)
            target = target.with_loaded(ModuleImage.open(path))
        judgement = _judged(target, question)
        emit(_predicted(judgement))
        agreed = _Load(kernel, question, judgement, emit).carry_out()
    emit(events.Finished((), time.monotonic() - started))
    return agreed


def _choose(question: Question, emit: Emit) -> KnownKernel:
    choice = choose(question.kernel, Wish(built_for=_built_for(question.path)))
    emit(events.KernelChosen(choice.where, choice.reason, choice.image))
    if choice.known is None or choice.known.vmlinuz is None or choice.known.modules is None:
        raise NotFoundError(
            f"{choice.where} has no image, or no modules, here",
            hint="lkm kernels fetch amd64 --headers",
        )
    return choice.known


def _built_for(path: str) -> str:
    try:
        vermagic = ModuleImage.open(path).vermagic
    except FormatError:
        return ""
    return vermagic.release if vermagic else ""


def _set_policy(kernel: Kernel, question: Question) -> None:
    if question.sig_enforce:
        kernel.write_file(SIG_ENFORCE, "1")
    if question.lockdown:
        kernel.write_file(LOCKDOWN, "integrity")


def _load_before(kernel: Kernel, path: str, emit: Emit) -> None:
    started = time.monotonic()
    module = kernel.load(path)
    seconds = time.monotonic() - started
    emit(events.DependencyLoaded(module.name, path, "it is to be there already", seconds))


def _target(kernel: Kernel, known: KnownKernel) -> Target:
    image, tree = read_image(known.vmlinuz or ""), tree_of(os.fspath(known.modules or ""))
    return read_kernel(kernel, image, tree)


def _judged(target: Target, question: Question) -> Judgement:
    data = Path(question.path).read_bytes()
    return judge(case_for(os.path.basename(question.path), data, target, question.parameters))


def _predicted(judgement: Judgement) -> Predicted:
    finding = judgement.decisive
    if finding is None:
        return Predicted(True, "", 0, "", "", "", "", (), judgement.passed)
    return Predicted(
        loads=False,
        gate=judgement.gate,
        errno=finding.errno,
        errno_name=finding.errno_name,
        message=finding.message,
        finding=finding.name,
        cause=finding.cause,
        fixes=tuple(Remedy(fix.text, fix.commands) for fix in finding.fixes),
        passed=judgement.passed,
    )


class _Load:
    """One load that is watched."""

    def __init__(
        self, kernel: Kernel, question: Question, judgement: Judgement, emit: Emit
    ) -> None:
        self._kernel = kernel
        self._question = question
        self._judgement = judgement
        self._emit = emit
        self._phase = Phase.LOAD
        self._stages: list[str] = []

    def carry_out(self) -> Agreed:
        """Load the module, and unload it if the kernel took it."""
        machine = machine_of(self._kernel)
        way = machine.watch_way(load_way.POINTS, self._entered, self._logged)
        try:
            errno, loaded = self._try()
            agreed = self._agreed(errno)
            if loaded:
                self._unload(loaded)
        finally:
            way.end()
        return agreed

    def _try(self) -> tuple[int, str]:
        """Load the module; return the error number (-1 where there is none) or its name."""
        try:
            return 0, self._load()
        except KernelDiedError as error:
            self._emit(events.Died(error.operation, error.reason))
            return -1, ""
        except KernelError as error:
            self._tell_refusal(error)
            return error.errno or -1, ""

    def _load(self) -> str:
        """Load the module and return its name."""
        started = time.monotonic()
        path, parameters = self._question.path, self._question.parameters
        data = decompress(Path(path).read_bytes())
        module = self._kernel.load(data, parameters)
        seconds = time.monotonic() - started
        name = os.path.basename(path)
        self._emit(events.Loaded(module.name, name, parameters, seconds))
        return module.name

    def _unload(self, module: str) -> None:
        """Unload the module; one without an exit function stays."""
        self._phase = Phase.UNLOAD
        started = time.monotonic()
        with contextlib.suppress(KernelError):
            self._kernel.unload(module)
            self._emit(events.Unloaded(module, time.monotonic() - started))

    def _entered(self, function: str) -> None:
        is_other = function in load_way.NOT_OF_LOADING
        if function in self._stages or (self._phase is not Phase.LOAD and not is_other):
            return
        self._stages.append(function)
        point = load_way.POINTS[function]
        self._emit(events.Stage(self._phase, function, point.meaning, point.gate))

    def _logged(self, record: LogRecord) -> None:
        self._emit(events.Logged(self._phase, record))

    def _tell_refusal(self, error: KernelError) -> None:
        finding = explanation.first_finding(
            self._kernel,
            self._question.path,
            self._question.parameters,
            errno=error.errno,
            signal=error.signal,
            lines=error.log,
        )
        name = name_of(error.errno)
        text = f"{name} ({os.strerror(error.errno)})" if name else ""
        told = events.Refused("loading", error.errno, text, error.signal, (finding.cause,))
        self._emit(told)

    def _agreed(self, errno: int) -> Agreed:
        gate, function = "", ""
        if errno:
            point = load_way.last_point(self._stages)
            gate = load_way.gate_of(point, errno) if point else ""
            function = point.function if point else ""
            self._emit(Stopped(function, gate, tuple(self._stages)))
        predicted = self._judgement.gate
        agreed = Agreed(predicted, gate, predicted == gate, self._judgement.errno == errno)
        self._emit(agreed)
        return agreed
