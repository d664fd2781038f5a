"""What a guest writes to its serial console: its beginning and its end are kept, however long."""

from __future__ import annotations

import socket
from collections import deque

_PIECE = 1 << 16
_MOST_PIECES = 64


class Output:
    """The read end of a stream; whoever writes waits when nobody drains it.

    Of more than ``limit`` bytes the first and the last half are kept.
    """

    def __init__(self, source: socket.socket, limit: int = 4 << 20) -> None:
        source.setblocking(False)
        self._source = source
        self._half = limit // 2
        self._start = bytearray()
        self._end: deque[bytes] = deque()
        self._end_size = self._dropped = 0

    def fileno(self) -> int:
        """Return the descriptor to wait on; -1 when the stream has ended."""
        return self._source.fileno()

    def drain(self) -> None:
        """Read what is there, at most 4 MiB at a time: one who writes without end must wait."""
        for _ in range(_MOST_PIECES):
            try:
                piece = self._source.recv(_PIECE)
            except OSError:  # EAGAIN: no more for now; or it was closed
                return
            if not piece:
                self._source.close()
                return
            self._keep(piece)

    def text(self) -> str:
        """Return what was written so far; a line says how much of it is left out."""
        self.drain()
        start, end = bytes(self._start), b"".join(self._end)
        gap = b"\n[%d bytes left out]\n" % self._dropped if self._dropped else b""
        return (start + gap + end).decode("utf-8", "replace").replace("\r\n", "\n")

    def close(self) -> None:
        """Read what is left and close the stream."""
        self.drain()
        self._source.close()

    def _keep(self, piece: bytes) -> None:
        room = self._half - len(self._start)
        self._start += piece[:room] if room > 0 else b""
        piece = piece[max(room, 0) :]
        if piece:
            self._end.append(piece)
            self._end_size += len(piece)
        while self._end_size - len(self._end[0] if self._end else b"") > self._half:
            gone = self._end.popleft()
            self._end_size -= len(gone)
            self._dropped += len(gone)
