"""A running ``lkm web`` and plain HTTP requests to it, with every header as the test wants it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECT = 180.0


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class RunningServer:
    """A server process, its port and its token; its workers' folders lie in ``folder``."""

    process: subprocess.Popen[str]
    port: int
    token: str
    folder: Path

    @property
    def good(self) -> dict[str, str]:
        """The headers of a request that is let in."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        host: str | None = None,
    ) -> Answer:
        """Make a request with these headers and a Host, and no others."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CONNECT)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
        for key, value in (headers or {}).items():
            connection.putheader(key, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        names = {key.lower(): value for key, value in response.getheaders()}
        answer = Answer(response.status, names, response.read())
        connection.close()
        return answer

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path, self.good)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, path: str, **content: Any) -> Answer:
        return self.ask("POST", path, self.good, json.dumps(content).encode())

    def run(self, view: str, **content: Any) -> list[dict[str, Any]]:
        """Carry out a run and return its events."""
        answer = self.post(f"/api/run/{view}", **content)
        assert answer.status == 200, answer.body
        return answer.events

    @contextlib.contextmanager
    def listening(self, view: str, **content: Any) -> Iterator[Listener]:
        """Begin a run and listen to it; the listener goes at the end of the block."""
        body = json.dumps(content).encode()
        head = [f"POST /api/run/{view} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        head += [f"{key}: {value}" for key, value in self.good.items()]
        head += [f"Content-Length: {len(body)}", "", ""]
        with socket.create_connection(("127.0.0.1", self.port), CONNECT) as connection:
            connection.sendall("\r\n".join(head).encode() + body)
            yield Listener(connection)

    def children(self) -> set[int]:
        """Return the processes that the server started and theirs, but for the janitor."""
        found, todo = set(), [self.process.pid]
        while todo:
            for pid in children_of(todo.pop()):
                if b"lkm-web-janitor" not in _command(pid):
                    found.add(pid)
                    todo.append(pid)
        return found

    def folders(self) -> list[Path]:
        return sorted(self.folder.glob("lkm-web-*/run-*"))


class Listener:
    """The raw answer of a run as it comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.told = b""

    def until(self, words: bytes) -> None:
        """Read until ``words`` were told."""
        while words not in self.told:
            data = self._connection.recv(1 << 16)
            assert data, self.told[-2000:]
            self.told += data

    def events(self) -> list[dict[str, Any]]:
        """Return the events told so far."""
        return [json.loads(m) for m in re.findall(rb"^\{.*\}$", self.told, re.MULTILINE)]


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[RunningServer]:
    """Run ``lkm web`` on a free port; its temporary files go below ``folder``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lkm", "web", "--no-open", "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=(\S+)", process.stdout.readline())
    assert found is not None
    try:
        yield RunningServer(process, int(found[1]), found[2], folder)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in text.split()]
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def wait_until(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
