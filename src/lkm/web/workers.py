"""Processes that do the work: started beforehand, used once, killed as a group, their folder gone.

A worker gets an order as one line of JSON on its standard input and tells on its standard output,
a line at a time. It is in a session of its own, so that all it started can be found and ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lkm.web import limits

_LINE_LIMIT = 1 << 25
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH"),
)
"""What workers see of the environment: nothing that is secret belongs in these."""

# When the server is gone, however it went: end what its workers still do, then remove all folders.
_JANITOR = """
trap '' INT TERM HUP
read -r _
for file in "$1"/*/pid; do
    [ -s "$file" ] && kill -9 -"$(cat "$file")" 2>/dev/null
done
sleep 0.2
rm -rf "$1"
"""


class Folders:
    """The folder of all workers' folders; it goes when the server does, even when it is killed."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lkm-web-"))
        self._janitor = subprocess.Popen(
            ["/bin/sh", "-c", _JANITOR, "lkm-web-janitor", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def new(self) -> Path:
        """Return a new folder that only this user can read."""
        return Path(tempfile.mkdtemp(prefix="run-", dir=self.path))

    def close(self) -> None:
        """Remove everything."""
        assert self._janitor.stdin is not None
        self._janitor.stdin.close()
        self._janitor.wait()


class Worker:
    """One process, warm; ``folder`` is its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.output = 0

    @classmethod
    async def start(cls, folders: Folders, *options: str) -> Worker:
        """Start a worker and wait until it is ready."""
        folder = folders.new()
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "lkm.web.worker", str(folder), *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_LIMIT,
            cwd=folder,
            env={**environment, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        (folder / "pid").write_text(str(process.pid), encoding="ascii")
        worker = cls(process, folder)
        try:
            await worker.line()
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.returncode is None

    async def tell(self, document: dict[str, Any]) -> None:
        """Send an order, or an action for the one it carries out."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(document).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def line(self) -> bytes:
        """Return the next line it tells, without its end; empty when it tells no more."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        self.output += len(line)
        return line.rstrip(b"\n")

    def kill(self) -> None:
        """End the process and all it started."""
        for pid in {self.process.pid, *limits.processes(self.process.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def end(self) -> int:
        """Kill what still runs, remove the folder, and return the exit status (see Process)."""
        self.kill()
        status = await self.process.wait()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        return status
