"""Does source build, load and work on each kernel? Found out by doing it, kernels in parallel."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lkm.build import kbuild
from lkm.errors import BuildError, LkmError, NotFoundError, missing_extra
from lkm.kernels.choose import find, headers_of, is_bootable, plain_flavour
from lkm.kernels.fetch import fetch_kernel
from lkm.kernels.known import KnownKernel, known_kernels
from lkm.operations.parallel import Progress
from lkm.operations.trial import events
from lkm.operations.trial.events import TrialVerdict, VerdictKind
from lkm.operations.trial.request import Procedure, TrialRequest
from lkm.operations.trial.trial import run

_LINE = re.compile(r"^(/[^:\n]+|[\w./+-]+\.[chS]):(\d+)(?::\d+)?: (.*)$")


class SourceOutcome(StrEnum):
    """What came of source on a kernel, in the words shown."""

    LOADS = "loads"
    BUILDS = "builds"
    PROBLEM = "problem"
    REFUSED = "refused"
    DIED = "kernel died"
    NOT_BUILT = "does not build"
    NOT_TRIED = "not tried"


GOOD = frozenset((SourceOutcome.LOADS, SourceOutcome.BUILDS))


@dataclass(frozen=True, slots=True)
class SourceCell:
    """Source on one kernel: what came of it, and the line that decided, where it did not go well.

    ``why`` is the cause in a sentence, ``decisive`` the compiler's or the log's own line, ``file``
    and ``line`` (0: not known) the place in the source it names; ``modules`` are those built.
    """

    release: str
    outcome: SourceOutcome
    why: str = ""
    decisive: str = ""
    file: str = ""
    line: int = 0
    modules: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source on every kernel, in the kernels' order."""

    source: str
    cells: tuple[SourceCell, ...]


@dataclass(frozen=True, slots=True)
class SourceMatrixRequest:
    """What to do on each kernel: build, and unless ``only_build`` load; variables for make."""

    only_build: bool = False
    make: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


def kernels_for_source(
    names: Sequence[str], progress: Progress | None = None
) -> tuple[KnownKernel, ...]:
    """Return the kernels of that name; ``all`` are those that are here, with headers or without.

    What is missing of a kernel that is named is fetched. Raises NotFoundError where there is none.
    """
    if "all" in names:
        here = {k.release: k for k in known_kernels() if is_bootable(k) or k.headers is not None}
        if not any(kernel.headers for kernel in here.values()):
            raise NotFoundError(
                "no kernel here has its headers",
                hint=f"lkm kernels fetch {plain_flavour()} --headers",
            )
        return tuple(here.values())
    return tuple(_with_headers(name, progress) for name in dict.fromkeys(names))


def _with_headers(name: str, progress: Progress | None) -> KnownKernel:
    try:
        known = find(name)
        if known.headers is not None or known.place:
            return known
        name = known.release
    except NotFoundError:
        pass
    return fetch_kernel(name, headers=True, progress=progress)


def source_matrix(
    sources: Sequence[str],
    known: Sequence[KnownKernel],
    request: SourceMatrixRequest,
    *,
    scheduler: str = "",
    progress: Progress | None = None,
) -> tuple[SourceRow, ...]:
    """Build, and load, each source on each kernel; processes share the work.

    With ``scheduler``, the address of a dask.distributed scheduler, its workers do: they need the
    source and the kernels under the same paths.
    """
    jobs = [(os.path.abspath(source), k.name) for source in sources for k in known]
    done = _on_cluster(jobs, request, scheduler) if scheduler else _here(jobs, request)
    cells = []
    for number, cell in enumerate(done, 1):
        cells.append(cell)
        if progress:
            progress(f"on {cell.release}", number, len(jobs))
    width = len(known)
    return tuple(
        SourceRow(source, tuple(cells[place * width : (place + 1) * width]))
        for place, source in enumerate(sources)
    )


def _here(jobs: Sequence[tuple[str, str]], request: SourceMatrixRequest) -> Iterable[SourceCell]:
    workers = min(len(jobs), len(os.sched_getaffinity(0)))
    if workers <= 1:
        yield from (_cell(source, release, request) for source, release in jobs)
        return
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        futures = [pool.submit(_cell, source, release, request) for source, release in jobs]
        yield from (future.result() for future in futures)


def _on_cluster(
    jobs: Sequence[tuple[str, str]], request: SourceMatrixRequest, scheduler: str
) -> Iterable[SourceCell]:
    try:
        from distributed import Client  # an optional extra
    except ImportError:
        raise missing_extra("distributed", "cluster") from None
    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        futures = [
            client.submit(_cell, source, release, request, pure=False) for source, release in jobs
        ]
        yield from (future.result() for future in futures)


def _cell(source: str, release: str, request: SourceMatrixRequest) -> SourceCell:
    started = time.monotonic()
    try:
        cell = (
            _built(source, release, request)
            if request.only_build
            else _tried(source, release, request)
        )
    except BuildError as error:
        cell = _not_built(error, release)
    except (LkmError, OSError) as error:
        cell = SourceCell(release, SourceOutcome.NOT_TRIED, str(error))
    return replace(cell, seconds=time.monotonic() - started)


def _built(source: str, release: str, request: SourceMatrixRequest) -> SourceCell:
    built = kbuild.build(source, headers_of(release), kbuild.BuildOptions(request.make))
    names = tuple(path.stem for path in built.modules)
    return SourceCell(release, SourceOutcome.BUILDS, modules=names)


def _not_built(error: BuildError, release: str) -> SourceCell:
    match = _LINE.match(error.decisive)
    return SourceCell(
        release,
        SourceOutcome.NOT_BUILT,
        error.causes[0] if error.causes else (match[3] if match else str(error)),
        error.decisive,
        match[1] if match else "",
        int(match[2]) if match else 0,
    )


def _tried(source: str, release: str, request: SourceMatrixRequest) -> SourceCell:
    told: list[events.Event] = []
    finished = run(
        TrialRequest(
            source,
            Procedure(request.parameters),
            kernel=f"emulated:{release}",
            make=request.make,
        ),
        told.append,
    )
    names = tuple(
        os.path.basename(event.module).partition(".")[0]
        for event in told
        if isinstance(event, events.Built)
    )
    verdict = finished.verdict or TrialVerdict(VerdictKind.GOOD, "")
    outcome = _OUTCOMES[verdict.kind]
    if outcome is SourceOutcome.LOADS:
        return SourceCell(release, outcome, modules=names)
    place, _, line = (verdict.place.line if verdict.place else "").rpartition(":")
    why = f"{verdict.headline}: {verdict.cause}" if verdict.cause else verdict.headline
    return SourceCell(
        release, outcome, why, _log_line(told), place, int(line) if line.isdigit() else 0, names
    )


_OUTCOMES = {
    VerdictKind.GOOD: SourceOutcome.LOADS,
    VerdictKind.PROBLEM: SourceOutcome.PROBLEM,
    VerdictKind.REFUSED: SourceOutcome.REFUSED,
    VerdictKind.DIED: SourceOutcome.DIED,
}


def _log_line(told: Sequence[events.Event]) -> str:
    """Return the first line that the kernel logged as an error; empty where it did not."""
    for event in told:
        if isinstance(event, events.Logged) and event.record.level <= 3:
            return event.record.text
    return ""
