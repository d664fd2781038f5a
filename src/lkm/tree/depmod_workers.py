"""Reading modules in several processes, and doing two things at once.

Processes are forked (nothing is imported again, nothing is sent to them) and answer once, in a
memory file. One that dies is no loss: what it did not deliver is done here.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Sequence
from typing import Any

from lkm.tree.depmod_scan import Scanned, scan

Progress = Callable[[int, int], None]
"""Called with the number of modules begun and their total."""

_CHUNKS = 64
_MOST = 8
_ENOUGH = 256  # modules; fewer are read here in the time another process takes to start


class Forked:
    """A function running in a forked process; its value can be marshalled."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._answer = os.memfd_create("lkm", os.MFD_CLOEXEC)
        self._process = os.fork()
        if not self._process:
            status = 1
            try:
                with open(self._answer, "wb", buffering=0, closefd=False) as file:
                    rest = memoryview(marshal.dumps(function()))
                    while rest:
                        rest = rest[file.write(rest) :]
                status = 0
            finally:
                os._exit(status)

    def result(self) -> Any | None:
        """Wait for the process and return the function's value; ``None`` when it died."""
        status = os.waitpid(self._process, 0)[1]
        with open(self._answer, "rb", buffering=0) as file:
            file.seek(0)
            return None if status else marshal.loads(file.read())


def processors() -> int:
    """Return how many processors this process may use, at least one."""
    if not hasattr(os, "memfd_create") or not hasattr(os, "sched_getaffinity"):
        return 1
    return max(len(os.sched_getaffinity(0)), 1)


def scan_all(
    directory: str, paths: Sequence[str], workers: int, progress: Progress
) -> list[Scanned]:
    """Return the facts of all ``paths``, read by at most ``workers`` processes."""
    helpers = min(workers, _MOST, len(paths) // _ENOUGH) - 1
    size = max(-(-len(paths) // _CHUNKS), 1)
    chunks = [paths[begin : begin + size] for begin in range(0, len(paths), size)]
    if helpers < 1:
        return [
            module for chunk in _announced(chunks, progress) for module in scan(directory, chunk)
        ]
    # The numbers of the chunks wait in a pipe, and who is free takes the next one.
    source, sink = os.pipe()
    os.write(sink, bytes(range(len(chunks))))
    os.close(sink)

    def work() -> list[tuple[int, list[Scanned]]]:
        done = []
        while number := os.read(source, 1):
            done.append((number[0], scan(directory, chunks[number[0]])))
        return done

    forked = [Forked(work) for _ in range(helpers)]
    results: dict[int, list[Scanned]] = {}
    while number := os.read(source, 1):
        progress(number[0] * size, len(paths))
        results[number[0]] = scan(directory, chunks[number[0]])
    os.close(source)
    for helper in forked:
        results.update(helper.result() or ())
    return [
        module
        for number, chunk in enumerate(chunks)
        for module in results.get(number) or scan(directory, chunk)
    ]


def _announced(chunks: list[Sequence[str]], progress: Progress) -> Any:
    total = sum(map(len, chunks))
    done = 0
    for chunk in chunks:
        progress(done, total)
        yield chunk
        done += len(chunk)
