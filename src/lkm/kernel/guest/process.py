"""A program run by the agent of a virtual machine, on pipes or on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _SEARCH_PATH, "HOME": "/root", "TERM": "linux", "LC_ALL": "C.UTF-8"}


class GuestProcess:
    """One running program; ``terminal`` (rows, columns) gives it a pseudo-terminal."""

    def __init__(self, command: list[str], directory: str, terminal: list[int] | None) -> None:
        if terminal:
            master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *terminal, 0, 0))
            theirs = (slave, slave, slave)
            ours: tuple[int, ...] = (master, master)
        else:
            pipes = [os.pipe() for _ in range(3)]
            theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
            ours = (pipes[0][1], pipes[1][0], pipes[2][0])
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, directory, theirs, bool(terminal))
        for descriptor in set(theirs):
            os.close(descriptor)
        self._input: int | None = ours[0]
        self._outputs = {fd: stream for stream, fd in enumerate(ours[1:])}
        self._end_of_input = False
        self._terminal = bool(terminal)
        self._pending = bytearray()
        self._status: int | None = None
        os.set_blocking(ours[0], False)

    def exchange(self, data: bytes | None, wait: float) -> tuple[bytes, bytes, int | None]:
        """Pass ``data`` to its input (``None`` closes it); return new output, errors, status.

        Waits up to ``wait`` seconds for something to say. The status is that of a shell (128 + N
        for signal N) and comes once, after all output.
        """
        self._feed(data)
        outputs = self._read(wait)
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = _shell_status(status)
                if self._terminal:  # a background job may hold the terminal for ever
                    outputs = [outputs[0] + self._read(0)[0], b""]
                    self._close_all()
        finished = self._status is not None and not self._outputs
        if finished:
            self._close_input()
        return outputs[0], outputs[1], self._status if finished else None

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _feed(self, data: bytes | None) -> None:
        self._pending += data or b""
        self._end_of_input |= data is None
        if self._input is None:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self._input, self._pending)]
        except BlockingIOError:
            return
        except OSError:  # it does not read any more
            self._pending.clear()
        if self._end_of_input and not self._terminal:
            self._close_input()

    def _read(self, wait: float) -> list[bytes]:
        output = [b"", b""]
        ready, _, _ = select.select(list(self._outputs), [], [], wait)
        for descriptor in ready:
            try:
                piece = os.read(descriptor, 1 << 16)
            except OSError:  # EIO: the last holder of the terminal has gone
                piece = b""
            if piece:
                output[self._outputs[descriptor]] = piece
                continue
            del self._outputs[descriptor]
            if not self._terminal:
                os.close(descriptor)
        return output

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def _close_all(self) -> None:
        self._outputs.clear()
        self._close_input()


def _become(
    command: list[str], directory: str, descriptors: tuple[int, int, int], terminal: bool
) -> None:
    try:
        os.setsid()
        if terminal:
            fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.chdir(directory)
        os.execvpe(command[0], command, _ENVIRONMENT)
    except OSError as error:
        os.write(2, f"{error.filename or command[0]}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)
    finally:
        os._exit(127)


def _shell_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
