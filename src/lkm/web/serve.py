"""The server process: its address, its token, and the browser that is pointed at both."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import ToolError, UsageError

HOST = "127.0.0.1"
DEFAULT_PORT = 8610

_OPENING = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={address}">
<title>lkm</title>
"""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to serve: ``port`` 0 is any; ``unconfined`` works without Landlock too."""

    port: int = DEFAULT_PORT
    open_browser: bool = True
    allow_live: bool = False
    unconfined: bool = False


def serve(settings: ServerSettings, tell: Callable[[str], None]) -> None:
    """Serve the page until interrupted; ``tell`` is given its address, which holds the token.

    Raises ToolError where the ``web`` extra is missing, UsageError where the port is taken.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ToolError(
            f"the page takes {error.name}, which is not installed",
            hint="pip install 'lkm[web]'",
        ) from error
    from lkm.web.app import Server, application
    from lkm.web.guard import Guard

    listening = _listen(settings.port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(32)
    address = f"http://{HOST}:{port}/#token={token}"
    words = {"--allow-live": settings.allow_live, "--unconfined": settings.unconfined}
    server = Server(*(word for word, given in words.items() if given))
    configuration = uvicorn.Config(
        Guard(application(server), token, port),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
        loop="asyncio",
        http="h11",
        lifespan="on",
    )
    tell(address)
    if settings.open_browser:
        _open(address, server.folder)
    uvicorn.Server(configuration).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # before the address is told: whoever comes early waits
    except OSError as error:
        listening.close()
        raise UsageError(
            f"port {port}: {error.strerror}", hint="another one: --port 0 takes any that is free"
        ) from error
    return listening


def _open(address: str, folder: Path) -> None:
    """Open the page through a file: in a command line, everyone on the machine sees the token."""
    file = folder / "lkm.html"
    file.write_text(_OPENING.format(address=address), encoding="utf-8")
    webbrowser.open(file.as_uri())
