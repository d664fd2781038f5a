"""Runs: two at once, each in a warm process, within limits; it ends when nobody listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from lkm.web import limits
from lkm.web.workers import Folders, Worker

_LOOK_EVERY = 0.25


class Busy(Exception):
    """As many runs as may be at once are going on."""


class Runs:
    """All runs of a server; ``options`` are for their workers."""

    def __init__(self, folders: Folders, *options: str) -> None:
        self._folders = folders
        self._options = options
        self._spare: asyncio.Task[Worker] | None = None
        self._going: dict[str, Worker | None] = {}
        self._endings: set[asyncio.Task[Any]] = set()
        self._closed = False

    def keep_spare(self) -> None:
        """Have a worker ready for the next run."""
        if self._spare is None:
            self._spare = asyncio.ensure_future(Worker.start(self._folders, *self._options))

    async def do(self, run: str, action: dict[str, Any]) -> bool:
        """Hand an action to a run; say whether there is such a run."""
        worker = self._going.get(run)
        if worker is None or not worker.alive:
            return False
        await worker.tell(action)
        return True

    async def events(self, view: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        """Carry out a run and yield its events, each a JSON object; the last is ``ended``.

        A first line ``{"problem": …}`` tells of a request that was refused. Raises Busy.
        """
        if len(self._going) >= limits.USUAL.runs:
            raise Busy
        run = secrets.token_hex(8)
        self._going[run] = None
        started = time.monotonic()
        worker = None
        try:
            worker = await self._take()
            self._going[run] = worker
            await worker.tell({"id": run, "view": view, "request": request})
            async for line in self._told(worker, view):
                yield _timed(line, started)
        finally:
            # Also when the listener went: then nothing here may wait, being cancelled.
            self._going.pop(run, None)
            if worker is not None:
                worker.kill()
                self._in_background(self._end(worker))

    async def _told(self, worker: Worker, view: str) -> AsyncIterator[bytes]:
        """Yield what a worker tells until it ends or passes a limit, then how it ended."""
        allowed = limits.of(view)
        stopped = asyncio.ensure_future(self._watch(worker, allowed.seconds, view))
        try:
            while line := await worker.line():
                yield line
                if worker.output > allowed.output:
                    yield _ended(1, f"limit: it told more than {allowed.output >> 20} MB")
                    return
            status = await worker.process.wait()
            why = stopped.result() if stopped.done() else _why(status)
            yield _ended(status, why)
        finally:
            stopped.cancel()

    async def _watch(self, worker: Worker, seconds: float, view: str) -> str:
        """Kill a worker that passes a limit, and return which."""
        end = time.monotonic() + seconds
        why = ""
        while not why:
            await asyncio.sleep(_LOOK_EVERY)
            why = limits.exceeded(limits.usage(worker.process.pid), limits.of(view))
            if time.monotonic() > end:
                why = f"limit: it took more than {seconds:g} seconds"
        worker.kill()
        return why

    async def _take(self) -> Worker:
        """Return the spare worker if it lives, else a new one."""
        spare, self._spare = self._spare, None  # before waiting: two runs must not share it
        if spare is not None:
            with contextlib.suppress(OSError):
                worker = await spare
                if worker.alive:
                    return worker
                await worker.end()
        return await Worker.start(self._folders, *self._options)

    async def _end(self, worker: Worker) -> None:
        await worker.end()
        if not self._going and not self._closed:
            self.keep_spare()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """End all runs."""
        self._closed = True
        for worker in filter(None, self._going.values()):
            worker.kill()
        if self._spare is not None:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await (await self._spare).end()
        await asyncio.gather(*self._endings, return_exceptions=True)


def _timed(line: bytes, started: float) -> bytes:
    return b'{"at":%.4f,' % (time.monotonic() - started) + line[1:]


def _ended(code: int, why: str) -> bytes:
    return b'{"event":"ended","code":%d,"why":%s}' % (code, json.dumps(why).encode())


def _why(status: int) -> str:
    if status < 0:
        return f"the worker was ended by signal {-status}"
    return f"the worker ended with status {status}" if status else ""
