"""The server's routes: what the page may ask, and who answers it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from lkm.web import limits, table
from lkm.web.questions import Questions
from lkm.web.runs import Busy, Runs
from lkm.web.workers import Folders

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
"""Where the built page lies."""


class Server:
    """What the routes share; ``options`` are for the workers."""

    def __init__(self, *options: str, static: Path = STATIC) -> None:
        self._folders = Folders()
        self.runs = Runs(self._folders, *options)
        self.questions = Questions(self._folders, *options)
        self._static = static

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Have workers ready while the server runs, and none left when it does not."""
        self.runs.keep_spare()
        try:
            yield
        finally:
            await asyncio.gather(self.runs.close(), self.questions.close())
            self.close_folders()

    @property
    def folder(self) -> Path:
        """The folder of all temporary files, which only this user reads; it ends as we do."""
        return self._folders.path

    def close_folders(self) -> None:
        """Remove the workers' folders."""
        self._folders.close()

    def routes(self) -> list[BaseRoute]:
        """Return all routes; those that are not ``/`` or ``/assets`` take the token."""
        return [
            Route("/", self._page),
            Mount("/assets", StaticFiles(directory=self._static / "assets", check_dir=False)),
            *(Route(f"/api/run/{view}", self._run(view), methods=["POST"]) for view in table.RUNS),
            Route("/api/run/{id}/do", self._do, methods=["POST"]),
            *(
                Route(path, self._answer(question), methods=[method])
                for path, (method, question) in table.ANSWERS.items()
            ),
        ]

    async def _page(self, _request: Request) -> Response:
        index = self._static / "index.html"
        if not index.is_file():
            return PlainTextResponse("The page was not built: run `make page`.\n", 503)
        return FileResponse(index)

    def _answer(self, question: str) -> Any:
        async def answer(request: Request) -> Response:
            asked = await _asked(request)
            if asked is None:
                return _no_object()
            status, document = await self.questions.ask(question, asked)
            return Response(document, status, media_type="application/json")

        return answer

    def _run(self, view: str) -> Any:
        async def run(request: Request) -> Response:
            asked = await _asked(request)
            return _no_object() if asked is None else Stream(self.runs.events(view, asked))

        return run

    async def _do(self, request: Request) -> Response:
        asked = await _asked(request)
        if asked is None:
            return _no_object()
        if await self.runs.do(request.path_params["id"], asked):
            return JSONResponse({"accepted": True}, 202)
        return _problem(404, "no such run is going on")


class Stream(Response):
    """The events of a run, a line each, as they come; a listener that goes ends the run."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the listener is gone."""
        going = asyncio.ensure_future(self._send(scope, receive, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({going, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (going, gone):
                task.cancel()
            await asyncio.gather(going, gone, return_exceptions=True)
            await self._events.aclose()  # type: ignore[attr-defined]

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self._events)
        except Busy:
            text = f"{limits.USUAL.runs} runs are going on: wait until one ends"
            await _problem(429, text, {"retry-after": "2"})(scope, receive, send)
            return
        document = json.loads(first)
        if "problem" in document:
            problem = document["problem"]
            await JSONResponse(problem, document["status"])(scope, receive, send)
            return
        headers = [(b"content-type", b"application/x-ndjson"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_line(send, first)
        async for event in self._events:
            await _send_line(send, event)
        await send({"type": "http.response.body", "body": b""})


async def _send_line(send: Send, line: bytes) -> None:
    await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _asked(request: Request) -> dict[str, Any] | None:
    """Return what is asked, of path, query and body; ``None`` where the body is no object."""
    asked: dict[str, Any] = {**request.query_params, **request.path_params}
    if request.method != "POST":
        return asked
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _no_object() -> Response:
    return _problem(400, "a request's body is a JSON object")


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text, "hint": "", "kind": "UsageError"}, status, headers)


def application(server: Server) -> Starlette:
    """Return the application without its guard."""
    return Starlette(routes=server.routes(), lifespan=server.lifespan)
