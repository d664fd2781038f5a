"""Limits on the time of one stretch of emulation, and its end when a signal comes.

Unicorn's own time limit polls and costs a quarter of the speed. One sleeping thread per machine
looks now and then at the processor time of the thread that emulates: processor time, not wall
time, so that a busy host does not make a kernel look hung. Only a deadline, where one is set, is of
wall time.

Python handles signals, Ctrl-C among them, when machine code has returned to it, which the emulator
may not for minutes. The same thread is told of a signal by the interpreter (signal.set_wakeup_fd),
and stops the emulator for it. What handles Ctrl-C is called after that, never within a callback of
the emulator, where ctypes would drop its exception.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

_INTERVAL = 0.2
_END = b"\0"


class Watchdog:
    """Calls ``stop`` when the guarded thread has used up its seconds, at a deadline, at a signal.

    ``fired`` tells that the time is up, ``interrupted`` that a signal came. Between ``arm`` and
    ``disarm``, Ctrl-C is only noted; ``let_through`` then does what it does otherwise.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._process = 0
        self._pipe = (-1, -1)
        self._others_wakeup = -1
        self._others_handler: Callable[[int, FrameType | None], object] | None = None
        self._interrupts: list[tuple[int, FrameType | None]] = []
        self._clock = 0
        self._limit = self._deadline = float("inf")
        self.fired = self.interrupted = False

    def arm(self, seconds: float, deadline: float | None = None) -> None:
        """Start counting for the calling thread; ``deadline`` is of the monotonic clock."""
        self.fired = self.interrupted = False
        if self._thread is None or self._process != os.getpid():  # threads do not survive a fork
            self._start()
        self._deadline = float("inf") if deadline is None else deadline
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._limit = time.clock_gettime(self._clock) + seconds
        if threading.current_thread() is threading.main_thread():
            self._others_wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                signal.signal(signal.SIGINT, self._note)
                self._others_handler = handler

    def disarm(self) -> None:
        """Stop counting."""
        self._limit = float("inf")
        if threading.current_thread() is threading.main_thread():
            if self._others_handler is not None:
                signal.signal(signal.SIGINT, self._others_handler)
                self._others_handler = None
            signal.set_wakeup_fd(self._others_wakeup, warn_on_full_buffer=False)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupts.append((number, frame))
        self.interrupted = True
        self._stop()

    def let_through(self) -> None:
        """Do for each Ctrl-C that was noted what is done otherwise: mostly, KeyboardInterrupt."""
        while self._interrupts and self._others_handler is not None:
            self._others_handler(*self._interrupts.pop())

    def end(self) -> None:
        """End the thread."""
        if self._thread is not None and self._process == os.getpid():
            os.write(self._pipe[1], _END)
            self._thread.join()
            for descriptor in self._pipe:
                os.close(descriptor)
        self._thread = None

    def _start(self) -> None:
        self._process = os.getpid()
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._thread = threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True)
        self._thread.start()

    def _watch(self, pipe: int) -> None:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while True:
            told = os.read(pipe, 512) if poll.poll(_INTERVAL * 1000) else b""
            if _END in told:
                return
            if told:
                self._pass_on(told)
                self.interrupted = True
            limit = self._limit
            if limit == float("inf"):
                continue
            if self.interrupted:  # until it has been seen: a stop before the start has no effect
                self._stop()
            if time.clock_gettime(self._clock) > limit or time.monotonic() > self._deadline:
                self._limit = float("inf")
                self.fired = True
                self._stop()

    def _pass_on(self, signals: bytes) -> None:
        """Tell who else wanted to be told: an event loop of this process."""
        if self._others_wakeup >= 0:
            with contextlib.suppress(OSError):
                os.write(self._others_wakeup, signals)
