"""A limit on the processor time of one stretch of emulation.

Unicorn's own time limit polls and costs a quarter of the speed. One sleeping thread per machine
looks now and then at the processor time of the thread that emulates: processor time, not wall
time, so that a busy host does not make a kernel look hung.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

_INTERVAL = 0.2


class Watchdog:
    """Calls ``stop`` when the guarded thread has used up its seconds."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._process = 0
        self._wake = threading.Event()
        self._clock = 0
        self._deadline = float("inf")
        self.fired = False

    def arm(self, seconds: float) -> None:
        """Start counting for the calling thread."""
        self.fired = False
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._deadline = time.clock_gettime(self._clock) + seconds
        if self._thread is None or self._process != os.getpid():  # threads do not survive a fork
            self._process = os.getpid()
            self._wake = threading.Event()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def disarm(self) -> None:
        """Stop counting."""
        self._deadline = float("inf")

    def end(self) -> None:
        """End the thread."""
        self._wake.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join()
        self._thread = None

    def _watch(self) -> None:
        wake = self._wake
        while not wake.wait(_INTERVAL):
            deadline = self._deadline
            if deadline != float("inf") and time.clock_gettime(self._clock) > deadline:
                self._deadline = float("inf")
                self.fired = True
                self._stop()
