"""The one door: every request passes here before any route sees it; what is not allowed is refused.

The page's own files (``/``, ``/assets/``) may be read by whoever reaches the port. Everything else
takes the token, whether a route for it exists or not.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 256 * 1024
"""The largest body of a request, in bytes."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:"),
        *("font-src 'self'", "connect-src 'self'", "worker-src 'self'", "base-uri 'none'"),
        *("form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"),
        "trusted-types svelte-trusted-html",
    )
)
_HEADERS = [
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), clipboard-read=()",
    }.items()
]
_OPEN_PATHS = ("/", "/assets/")
_Refusal = tuple[int, str]


class Guard:
    """An ASGI application around another; ``port`` is the server's, ``token`` what to ask for."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{host}:{port}".encode() for host in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refusal(scope)
        sending = _with_headers(send, secret=not _is_open(scope["path"]))
        if refused is None:
            await self._app(scope, receive, sending)
            return
        status, text = refused
        hint = "open the address that `lkm web` printed" if status == 401 else ""
        document = {"error": text, "hint": hint, "kind": "Refused"}
        await JSONResponse(document, status)(scope, receive, sending)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = scope["headers"]
        return (
            self._foreign(scope, headers)
            or (None if _is_open(scope["path"]) else self._without_token(headers))
            or _unfit(scope, headers)
        )

    def _foreign(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> _Refusal | None:
        """Refuse names that only seem to be ours (DNS rebinding), and requests of other pages."""
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "this server does not go by that name"
        origins = _values(headers, b"origin")
        if any(origin.lower() != b"http://" + hosts[0].lower() for origin in origins):
            return 403, "the request comes from another page"
        is_page = scope["method"] == "GET" and _is_open(scope["path"])
        if not is_page and any(
            site not in (b"same-origin", b"none") for site in _values(headers, b"sec-fetch-site")
        ):
            return 403, "the request comes from another site"
        return None

    def _without_token(self, headers: list[tuple[bytes, bytes]]) -> _Refusal | None:
        given = _values(headers, b"authorization")
        kind, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if kind.lower() == b"bearer" and hmac.compare_digest(token, self._token):
            return None
        return 401, "the token is missing, or that of an earlier start"


def _unfit(scope: Scope, headers: list[tuple[bytes, bytes]]) -> _Refusal | None:
    """Refuse methods, types and sizes that no route takes."""
    methods = ("GET", "HEAD") if _is_open(scope["path"]) else ("GET", "POST")
    if scope["method"] not in methods:
        return 405, f"only {' and '.join(methods)} are answered here"
    if scope["method"] == "POST":
        types = [value.partition(b";")[0].strip() for value in _values(headers, b"content-type")]
        if types != [b"application/json"]:
            return 415, "a request's body is JSON (Content-Type: application/json)"
    if _values(headers, b"transfer-encoding"):
        return 411, "a request tells its length (Content-Length)"
    lengths = _values(headers, b"content-length")
    if any(not value.isdigit() or int(value) > BODY_LIMIT for value in lengths):
        return 413, f"a request has at most {BODY_LIMIT // 1024} KB"
    return None


def _is_open(path: str) -> bool:
    return path == _OPEN_PATHS[0] or path.startswith(_OPEN_PATHS[1])


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _with_headers(send: Send, *, secret: bool) -> Send:
    more = [*_HEADERS, (b"cache-control", b"no-store" if secret else b"no-cache")]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending
