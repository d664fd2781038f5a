"""What the server refuses: other hosts, pages, kinds; large bodies; without the token all."""

from __future__ import annotations

import socket
import subprocess

import pytest
from starlette.routing import Mount, Route

from lkm.web import table
from lkm.web.app import Server
from tests.web.serving import RunningServer

_PATHS = ("/api/state", "/api/run/life", "/api/nothing", "/api", "/api/", "/nothing", "//api/state")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1", "localhost:1", ""),
        *("[::1].x:{port}", "127.0.0.1:{port}@evil.example", "127.0.0.2:{port}"),
    ],
)
def test_a_foreign_host_is_refused(running: RunningServer, host: str) -> None:
    assert running.ask(host=host.format(port=running.port)).status == 421
    answer = running.ask("GET", "/api/state", running.good, host=host.format(port=running.port))
    assert answer.status == 421


def test_localhost_is_a_name_of_it(running: RunningServer) -> None:
    assert running.ask(host=f"LOCALHOST:{running.port}").status in (200, 503)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_origin_is_refused(running: RunningServer, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/api/taint"), ("POST", "/api/run/life")):
        assert running.ask(method, path, {**running.good, **headers}, b"{}").status == 403


def test_every_path_but_the_pages_own_takes_the_token(running: RunningServer) -> None:
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": running.token},
        {"Authorization": f"Basic {running.token}"},
        {"Authorization": f"Bearer {running.token}x"},
        {"Cookie": f"token={running.token}"},
        {"X-Token": running.token},
    )
    for path in _PATHS:
        for headers in wrong:
            for method in ("GET", "POST"):
                body = b"{}" if method == "POST" else None
                kind = {"Content-Type": "application/json"}
                assert running.ask(method, path, {**headers, **kind}, body).status == 401, path
    assert running.ask("GET", f"/api/taint?token={running.token}").status == 401
    assert running.ask("GET", "/api/taint", running.good).status == 200


def test_every_route_takes_the_token(running: RunningServer) -> None:
    """Walks the router: a route that is added outside the guard's reach fails here."""
    server = Server()
    try:
        routes = server.routes()
    finally:
        server.close_folders()
    paths = [route.path for route in routes if isinstance(route, (Route, Mount))]
    assert len(paths) == len(routes)
    assert {path for path in paths if not path.startswith("/api/")} == {"/", "/assets"}
    for route in routes:
        assert isinstance(route, (Route, Mount))
        if isinstance(route, Route) and route.path != "/":
            path = route.path.replace("{", "").replace("}", "")
            for method in route.methods or ():
                body = b"{}" if method == "POST" else None
                kind = {"Content-Type": "application/json"}
                assert running.ask(method, path, kind, body).status == 401, (method, path)


def test_the_routes_are_those_of_the_table() -> None:
    server = Server()
    try:
        paths = {getattr(route, "path", "") for route in server.routes()}
    finally:
        server.close_folders()
    named = {*table.ANSWERS, *(f"/api/run/{view}" for view in table.RUNS)}
    assert paths == {"/", "/assets", "/api/run/{id}/do", *named}


def test_only_json_is_read(running: RunningServer) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        headers = {**running.good, "Content-Type": kind}
        assert running.ask("POST", "/api/run/life", headers, b"{}").status == 415
    assert running.ask("POST", "/api/rules", running.good, b"[]").status == 400
    assert running.ask("POST", "/api/rules", running.good, b"{").status == 400
    assert running.ask("POST", "/api/rules", running.good, b"[" * 100_000).status == 400
    assert running.ask("POST", "/api/rules", running.good, b'{"nothing": "x"}').status == 400


def test_large_and_unmeasured_bodies_are_refused(running: RunningServer) -> None:
    assert running.ask("POST", "/api/rules", running.good, b" " * 262_145).status == 413
    chunked = {**running.good, "Transfer-Encoding": "chunked"}
    assert running.ask("POST", "/api/rules", chunked).status == 411
    for length in ("-1", "999999999999999999999", "x"):
        headers = {**running.good, "Content-Length": length}
        assert running.ask("POST", "/api/rules", headers).status in (400, 413)


def test_other_methods_are_refused(running: RunningServer) -> None:
    assert running.ask("POST", "/", {}, b"").status == 405
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert running.ask(method, "/api/state", running.good).status == 405
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = running.ask("OPTIONS", "/api/run/life", preflight)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_headers_of_an_answer(running: RunningServer) -> None:
    for path in ("/", "/assets/none", "/api/state", "/api/nothing"):
        headers = running.ask("GET", path, running.good).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        for part in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "form-action 'none'",
            "base-uri 'none'",
        ):
            assert part in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        shut = {"set-cookie", "access-control-allow-origin", "server", "x-powered-by"}
        assert not shut & headers.keys()
    assert running.ask("GET", "/api/state", running.good).headers["cache-control"] == "no-store"


def test_the_page_does_not_hold_the_token(running: RunningServer) -> None:
    assert running.token.encode() not in running.ask().body


@pytest.mark.parametrize(
    "path",
    [
        *("/assets/../../app.py", "/assets/%2e%2e/%2e%2e/app.py", "/assets/..%2f..%2fapp.py"),
        *("/assets/../app.py", "/assets//etc/passwd", "/assets/%00", "/assets/..\\..\\app.py"),
    ],
)
def test_files_outside_the_page_are_not_served(running: RunningServer, path: str) -> None:
    answer = running.ask("GET", path)
    assert answer.status in (400, 401, 404, 405, 503)
    assert b"Starlette" not in answer.body
    assert b"root:" not in answer.body


def test_no_websocket(running: RunningServer) -> None:
    headers = {
        **running.good,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert running.ask("GET", "/api/state", headers).status != 101
    assert running.ask("GET", "/", headers).status != 101


def test_only_loopback_is_listened_on(running: RunningServer) -> None:
    listed = subprocess.run(
        ["ss", "-ltnH"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    mine = [line.split()[3] for line in listed if f":{running.port} " in line]
    assert mine == [f"127.0.0.1:{running.port}"]
    with socket.socket() as other, pytest.raises(OSError, match=r"refused|timed out"):
        other.settimeout(2)
        other.connect(("127.0.0.2", running.port))
