"""What a module has put off: timers, work, tasklets, threads that run its code after it went.

Which ones there are is seen at the module's calls; whether one is still to come is read from the
kernel's own structure when the module is about to be freed.

Source: ``include/linux/timer.h: timer_pending``, ``hrtimer.h``, ``workqueue.h``, ``interrupt.h``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import BrokenRule, KernelRule, Site

_PENDING = 1
_KERNEL_ERRORS = 2**64 - 4096
_MOST_TASKS = 32768
_WORKER = 0x20
"""``PF_WQ_WORKER``."""


class _Kind(enum.Enum):
    TIMER = "timer"
    HRTIMER = "hrtimer"
    WORK = "work"
    DELAYED_WORK = "delayed work"
    TASKLET = "tasklet"
    THREAD = "thread"
    WORKER = "worker"


_CALLS: dict[str, tuple[_Kind, int]] = {
    **dict.fromkeys(
        (
            "mod_timer",
            "add_timer",
            "mod_timer_pending",
            "timer_reduce",
            "add_timer_on",
            "add_timer_local",
            "add_timer_global",
        ),
        (_Kind.TIMER, 0),
    ),
    **dict.fromkeys(("hrtimer_start_range_ns", "hrtimer_forward"), (_Kind.HRTIMER, 0)),
    "queue_work_on": (_Kind.WORK, 2),
    "queue_work_node": (_Kind.WORK, 2),
    "queue_delayed_work_on": (_Kind.DELAYED_WORK, 2),
    "mod_delayed_work_on": (_Kind.DELAYED_WORK, 2),
    "__tasklet_schedule": (_Kind.TASKLET, 0),
    "__tasklet_hi_schedule": (_Kind.TASKLET, 0),
}
_THREADS = {
    **dict.fromkeys(("kthread_create_on_node", "kthread_create_on_cpu"), _Kind.THREAD),
    **dict.fromkeys(("kthread_create_worker", "kthread_create_worker_on_node"), _Kind.WORKER),
}


@dataclass(frozen=True, slots=True)
class _Started:
    kind: _Kind
    site: Site


class Scheduled(Check):
    """Timers, work, tasklets and threads that outlive their module."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._started: dict[int, _Started] = {}

    def concerns(self, function: str) -> bool:
        """Whether it starts something for later."""
        return function in _CALLS or function in _THREADS

    def attach(self) -> None:
        """Begin anew."""
        self._started.clear()

    def called(self, call: CallSite, site: Site) -> None:
        """Remember what is started, and where."""
        threads = _THREADS.get(call.function)
        if threads is not None:
            started = _Started(threads, site)

            def created(value: int) -> None:
                if 0 < value < _KERNEL_ERRORS:
                    self._started[value] = started

            self.scene.on_return(created)
            return
        kind, position = _CALLS[call.function]
        self._started[self.scene.argument(position)] = _Started(kind, site)

    def leaving(self) -> None:
        """Tell what is still to come."""
        tasks = set(self._tasks()) if self._started else set()
        for address, started in self._started.items():
            words = self._words(address, started.kind, tasks)
            if words:
                self.scene.report(BrokenRule(KernelRule.LEFT_BEHIND, words, started.site))
        self._started.clear()

    def _words(self, at: int, kind: _Kind, tasks: set[int]) -> str:
        if kind is _Kind.TIMER:
            return self._timer(at, "timer")
        if kind is _Kind.DELAYED_WORK:
            inner = self.scene.offset("delayed_work", "timer")
            due = self._timer(at + inner, "") if inner is not None else ""
            return self._work(at, "delayed work", bool(due))
        if kind is _Kind.WORK:
            return self._work(at, "work", False)
        if kind is _Kind.HRTIMER:
            return self._state(at, "hrtimer", "state", "high-resolution timer")
        if kind is _Kind.TASKLET:
            return self._state(at, "tasklet_struct", "state", "tasklet")
        task = at
        if kind is _Kind.WORKER:
            offset = self.scene.offset("kthread_worker", "task")
            task = (self.scene.u64(at + offset) or 0) if offset is not None else 0
        return self._thread(task, tasks)

    def _timer(self, at: int, what: str) -> str:
        pending = self.scene.offset("timer_list", "entry.pprev")
        if pending is None or not self.scene.u64(at + pending):
            return ""
        call = self.scene.offset("timer_list", "function") or 0
        function = self.scene.places.function(self.scene.u64(at + call) or 0)
        return f"the {what} {self.scene.places.name(at)} is still pending: it will call {function}"

    def _work(self, at: int, what: str, due: bool) -> str:
        data = self.scene.offset("work_struct", "data") or 0
        call = self.scene.offset("work_struct", "func") or 0
        if not due and not (self.scene.u64(at + data) or 0) & _PENDING:
            running = self._running(at)
            return f"the {what} {self.scene.places.name(at)} is still running" if running else ""
        function = self.scene.places.function(self.scene.u64(at + call) or 0)
        return f"the {what} {self.scene.places.name(at)} is still queued: it will call {function}"

    def _running(self, work: int) -> bool:
        """Whether a worker is at this work just now."""
        flags = self.scene.offset("task_struct", "flags")
        private = self.scene.offset("task_struct", "worker_private")
        data = self.scene.offset("kthread", "data")
        current = self.scene.offset("worker", "current_work")
        if flags is None or private is None or data is None or current is None:
            return False
        for task in self._tasks():
            if not (self.scene.u32(task + flags) or 0) & _WORKER:
                continue
            thread = self.scene.u64(task + private) or 0
            worker = self.scene.u64(thread + data) or 0
            if worker and self.scene.u64(worker + current) == work:
                return True
        return False

    def _state(self, at: int, structure: str, member: str, what: str) -> str:
        offset = self.scene.offset(structure, member)
        state = self.scene.u32(at + offset) if offset is not None else 0
        if not (state or 0) & _PENDING:
            return ""
        return f"the {what} {self.scene.places.name(at)} is still pending"

    def _thread(self, task: int, tasks: set[int]) -> str:
        ended = self.scene.offset("task_struct", "exit_state")
        if task not in tasks or (ended is not None and self.scene.u32(task + ended)):
            return ""
        return f"the kernel thread {self.scene.task_name(task)} still runs"

    def _tasks(self) -> Iterator[int]:
        """Yield all tasks but threads of processes (``for_each_process``)."""
        first, link = (
            self.scene.kernel.kallsyms.get("init_task"),
            self.scene.offset("task_struct", "tasks"),
        )
        if first is None or link is None:
            return
        task = first
        for _ in range(_MOST_TASKS):
            following = self.scene.u64(task + link)
            if not following or following - link == first:
                return
            task = following - link
            yield task
