"""One function over many files, on every processor this process may use."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from lkm.errors import LkmError

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many items are done, and how many there are."""

_WORTH_A_PROCESS = 32  # items; a fork and its pipe cost about 10 ms
_BATCH = 16


def spread(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    what: str = "",
    progress: Progress | None = None,
) -> list[R]:
    """Return ``function`` of each of ``items``, in their order.

    Runs in forked processes, so that ``function`` may be any callable; what it returns is
    pickled. It must not raise: an exception ends everything with an ``LkmError``.
    """
    show = progress or (lambda _what, _done, _total: None)
    processes = min(len(os.sched_getaffinity(0)), len(items) // _WORTH_A_PROCESS)
    if processes <= 1:
        return list(_inline(function, items, what, show))
    results: dict[int, R] = {}
    workers = _start(function, items, processes)
    try:
        for index, result in _collect([pipe for _, pipe in workers]):
            results[index] = result
            show(what, len(results), len(items))
    finally:
        _end(workers)
    return [results[index] for index in range(len(items))]


def _inline(
    function: Callable[[T], R], items: Sequence[T], what: str, show: Progress
) -> Iterator[R]:
    for done, item in enumerate(items, 1):
        yield function(item)
        show(what, done, len(items))


def _start(
    function: Callable[[T], R], items: Sequence[T], processes: int
) -> list[tuple[Any, Connection]]:
    # fork: what the function holds (an unpacked kernel, a private key) is shared, not copied
    context = multiprocessing.get_context("fork")
    workers = []
    for first in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        share = range(first, len(items), processes)
        process = context.Process(target=_work, args=(function, items, share, theirs), daemon=True)
        process.start()
        theirs.close()
        workers.append((process, ours))
    return workers


def _work(
    function: Callable[[T], R], items: Sequence[T], share: Sequence[int], pipe: Connection
) -> None:
    try:
        for start in range(0, len(share), _BATCH):
            pipe.send([(index, function(items[index])) for index in share[start : start + _BATCH]])
    except KeyboardInterrupt:
        return
    except Exception:
        pipe.send(traceback.format_exc())
        return
    pipe.send(None)


def _collect(pipes: list[Connection]) -> Iterator[tuple[int, Any]]:
    while pipes:
        for pipe in wait(pipes):
            assert isinstance(pipe, Connection)
            try:
                batch = pipe.recv()
            except EOFError:
                raise LkmError("a worker process died before it had finished") from None
            if batch is None:
                pipes.remove(pipe)
            elif isinstance(batch, str):
                raise LkmError(f"a worker process failed:\n{batch}")
            else:
                yield from batch


def _end(workers: list[tuple[Any, Connection]]) -> None:
    for process, pipe in workers:
        pipe.close()
        process.terminate()
        process.join()
