"""Questions answered at once, by one process that stays until it is too slow or too large."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from lkm.web import limits
from lkm.web.workers import Folders, Worker

_SECONDS = 60.0
_MEMORY = 1 << 30


class Questions:
    """Asks one worker after the other; ``options`` are for it."""

    def __init__(self, folders: Folders, *options: str) -> None:
        self._folders = folders
        self._options = options
        self._worker: Worker | None = None
        self._turn = asyncio.Lock()

    async def ask(self, question: str, request: dict[str, Any]) -> tuple[int, bytes]:
        """Return the status and the JSON document that answer a question."""
        async with self._turn:
            worker = await self._ready()
            try:
                async with asyncio.timeout(_SECONDS):
                    await worker.tell({"question": question, "request": request})
                    line = await worker.line()
            except (TimeoutError, asyncio.CancelledError) as error:
                await self._give_up()
                if isinstance(error, TimeoutError):
                    return 503, _problem(f"no answer within {_SECONDS:g} seconds")
                raise
            if not line:
                await self._give_up()
                return 500, _problem("the process that answers ended")
            if limits.usage(worker.process.pid).memory > _MEMORY:
                await self._give_up()
        status, _, document = line.partition(b" ")
        return int(status), document

    async def _ready(self) -> Worker:
        if self._worker is not None and not self._worker.alive:
            await self._give_up()
        if self._worker is None:
            self._worker = await Worker.start(self._folders, "--questions", *self._options)
        return self._worker

    async def _give_up(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.end()

    async def close(self) -> None:
        """End the worker."""
        await self._give_up()


def _problem(text: str) -> bytes:
    return json.dumps({"error": text, "hint": "ask again", "kind": "WorkerError"}).encode()
