"""The rules of locking, held against what a module does: no lockdep needed.

Seen are the module's own calls of the locking functions. What it still holds is asked of the lock
itself: a lock that somebody else, or an inline function, unlocked is free, whatever was seen.
There is one processor: a spinning lock that is taken and wanted again will never be free.

Source: ``kernel/locking``, ``include/linux/preempt.h``, ``Documentation/locking/lockdep-design``.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from lkm.kernel.emulated.hardware.death import MachineDeath
from lkm.kernel.emulated.hardware.native_hooks import AtomicContextHook
from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import BrokenRule, KernelRule, Site


class _Kind(enum.Enum):
    SPIN = enum.auto()
    SLEEPING = enum.auto()
    SEMAPHORE = enum.auto()


_VARIANTS = ("", "_irq", "_irqsave", "_bh")
_SPINNING = {f"_raw_{kind}_lock{how}" for kind in ("spin", "read", "write") for how in _VARIANTS}
_SPIN_ENDS = {
    f"_raw_{kind}_unlock{how}"
    for kind in ("spin", "read", "write")
    for how in ("", "_irq", "_irqrestore", "_bh")
}
_SHARED = {"down_read", "down_read_interruptible", "down_read_killable"} | {
    name for name in _SPINNING if "read" in name
}
_MUTEXES = {
    *("mutex_lock", "mutex_lock_interruptible", "mutex_lock_killable", "mutex_lock_io"),
    *("rt_mutex_lock", "rt_mutex_lock_interruptible", "rt_spin_lock"),
    *("down_read", "down_read_interruptible", "down_read_killable"),
    *("down_write", "down_write_killable"),
}
_MUTEX_ENDS = {"mutex_unlock", "rt_mutex_unlock", "rt_spin_unlock", "up_read", "up_write"}
_SEMAPHORES = {"down", "down_interruptible", "down_killable", "down_timeout"}
_MAY_FAIL = {name for name in _MUTEXES | _SEMAPHORES if name.endswith(("ible", "able", "timeout"))}
_SPIN_TRIES = {
    *("_raw_spin_trylock", "_raw_spin_trylock_bh"),
    *("_raw_read_trylock", "_raw_write_trylock"),
}
_MUTEX_TRIES = {
    *("mutex_trylock", "rt_mutex_trylock", "rt_spin_trylock"),
    *("down_read_trylock", "down_write_trylock"),
}
_RCU, _RCU_END = "__rcu_read_lock", "__rcu_read_unlock"
_RTNL, _RTNL_END = "rtnl_lock", "rtnl_unlock"
_SLEEPERS = {
    *("msleep", "msleep_interruptible", "usleep_range_state", "usleep_range"),
    *("schedule_timeout", "schedule_timeout_interruptible", "schedule_timeout_uninterruptible"),
    *("wait_for_completion", "wait_for_completion_interruptible", "wait_for_completion_killable"),
    *("wait_for_completion_timeout", "wait_for_completion_interruptible_timeout"),
    *("synchronize_rcu", "rcu_barrier", "flush_work", "cancel_work_sync", "flush_workqueue"),
    *("__flush_workqueue", "cancel_delayed_work_sync", "kthread_stop", "vmalloc", "vzalloc"),
    *("_copy_from_user", "_copy_to_user", "copy_from_user", "copy_to_user"),
    *("request_threaded_irq", "free_irq", "kthread_create_on_node"),
}
_FAULTING = {"_copy_from_user", "_copy_to_user", "copy_from_user", "copy_to_user"}
_LOCKING = (
    _SPINNING | _SPIN_ENDS | _MUTEXES | _MUTEX_ENDS | _SEMAPHORES | _SPIN_TRIES | _MUTEX_TRIES
)
_WORDS = {name: name.removeprefix("_raw_").removeprefix("__") for name in _SPINNING | {_RCU}}
_RCU_LOCK = 0
_RECLAIM = 0x400
"""``__GFP_DIRECT_RECLAIM``: the allocation may sleep."""


@dataclass(frozen=True, slots=True)
class _Held:
    lock: int
    kind: _Kind | None
    function: str
    site: Site
    in_interrupt: bool


@dataclass(slots=True)
class _Uses:
    """Where a spinning lock was taken, by what could have interrupted or did."""

    in_hardirq: Site | None = None
    in_softirq: Site | None = None
    hardirqs_on: Site | None = None
    softirqs_on: Site | None = None


@dataclass(slots=True)
class _Wait:
    lock: int
    function: str
    site: Site


@dataclass(slots=True)
class _State:
    held: dict[int, list[_Held]] = field(default_factory=dict)
    waits: dict[int, _Wait] = field(default_factory=dict)
    after: dict[int, dict[int, tuple[Site, Site]]] = field(default_factory=dict)
    uses: dict[int, _Uses] = field(default_factory=dict)


class LockRules(Check):
    """Sleeping in atomic context, deadlocks, orders of locking, locks that are kept."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._state = _State()
        self._hooks: list[AtomicContextHook] = []
        self._crashed = False

    def concerns(self, function: str) -> bool:
        """Whether it locks, unlocks or sleeps."""
        return (
            function in _LOCKING
            or function in _SLEEPERS
            or function in (_RCU, _RCU_END, _RTNL, _RTNL_END)
        )

    def attach(self) -> None:
        """Look at each place where the kernel may sleep, natively."""
        self.close()
        self._state = _State()
        scene, symbols = self.scene, self.scene.kernel.kallsyms
        count = scene.count_at
        for name in ("oops_enter", "panic"):
            scene.watch(name, self._crash)
        scene.watch("do_exit", lambda: self._ends(scene.task))
        if count is None:
            return
        processor = scene.processor
        word = ctypes.addressof(ctypes.c_uint32.from_buffer(processor.memory.ram, count))
        for name in ("__cond_resched", "schedule"):
            address = symbols.get(name)
            if address is not None:
                hook = AtomicContextHook(
                    processor.uc, address, word, scene.counted, processor.guarded(self._slept)
                )
                self._hooks.append(hook)
                processor.forget_code(address, 1)

    def close(self) -> None:
        """Take the native hooks away."""
        for hook in self._hooks:
            hook.close()
        self._hooks.clear()

    def returning(self, task: int) -> None:
        """A lock that a task holds when it leaves the kernel stays taken."""
        self._kept(task, "is still held at the return to user space")
        self._state.held.pop(task, None)
        self._state.waits.pop(task, None)

    def leaving(self) -> None:
        """Nothing may be locked in a module that goes."""
        for task in list(self._state.held):
            self._kept(task, "is still held when the module goes")

    def waiting(self) -> None:
        """Tell, of a machine that hangs, who waits for a lock that whom holds."""
        told: set[int] = set()
        for task, wait in self._state.waits.items():
            if task not in told:
                told |= self._report_wait(task, wait)

    # Calls of the module

    def called(self, call: CallSite, site: Site) -> None:
        """Keep account of a call, and hold it against the rules."""
        function, task = call.function, self.scene.task
        lock = self.scene.argument(0)
        if function in (_RCU, _RCU_END):
            self._rcu(function, task, site)
        elif function in (_RTNL, _RTNL_END):
            self._take_rtnl(function, task, site)
        elif function in _SPINNING:
            self._lock(task, lock, _Kind.SPIN, function, site)
        elif function in _MUTEXES:
            self._may_sleep(function, site)
            self._lock(task, lock, _Kind.SLEEPING, function, site)
        elif function in _SEMAPHORES:
            self._may_sleep(function, site)
            self._wait_for(task, lock, _Kind.SEMAPHORE, function, site)
        elif function in _SPIN_TRIES | _MUTEX_TRIES:
            kind = _Kind.SPIN if function in _SPIN_TRIES else _Kind.SLEEPING
            made = self._made(lock, kind, function, site)
            self.scene.on_return(lambda value: self._took(task, made) if value & 0xFF else None)
        elif function in _SPIN_ENDS | _MUTEX_ENDS:
            self._unlock(task, lock, function, site)
        elif function in _SLEEPERS:
            self._may_sleep(function, site)

    def allocates(self, flags: int, function: str, site: Site) -> None:
        """An allocation with GFP_KERNEL may sleep."""
        if flags & _RECLAIM:
            self._may_sleep(f"{function}(GFP_KERNEL)", site)

    def _take_rtnl(self, function: str, task: int, site: Site) -> None:
        lock = self.scene.kernel.kallsyms.get("rtnl_mutex")
        if lock is None:
            return
        if function == _RTNL_END:
            self._unlock(task, lock, function, site)
            return
        self._may_sleep(function, site)
        self._lock(task, lock, _Kind.SLEEPING, function, site)

    def _rcu(self, function: str, task: int, site: Site) -> None:
        if function == _RCU:
            self._took(task, self._made(_RCU_LOCK, None, function, site))
            return
        held = self._state.held.get(task, [])
        for index in range(len(held) - 1, -1, -1):
            if held[index].kind is None:
                del held[index]
                return

    def _lock(self, task: int, lock: int, kind: _Kind, function: str, site: Site) -> None:
        self._check_deadlock(task, lock, kind, function, site)
        self._check_order(task, lock, site)
        if kind is _Kind.SPIN:
            self._check_context(lock, function, site)
            self._took(task, self._made(lock, kind, function, site))
        else:
            self._wait_for(task, lock, kind, function, site)

    def _wait_for(self, task: int, lock: int, kind: _Kind, function: str, site: Site) -> None:
        self._state.waits[task] = _Wait(lock, function, site)
        made = self._made(lock, kind, function, site)

        def came_back(value: int) -> None:
            self._state.waits.pop(task, None)
            if function not in _MAY_FAIL or not value & 0xFFFFFFFF:
                self._took(task, made)

        self.scene.on_return(came_back)

    def _made(self, lock: int, kind: _Kind | None, function: str, site: Site) -> _Held:
        scene = self.scene
        return _Held(lock, kind, function, site, scene.in_softirq or scene.in_hardirq)

    def _took(self, task: int, held: _Held) -> None:
        if held.kind is not _Kind.SEMAPHORE:  # anybody may release those
            self._state.held.setdefault(task, []).append(held)

    def _unlock(self, task: int, lock: int, function: str, site: Site) -> None:
        for owner in (task, *self._state.held):
            held = self._state.held.get(owner, [])
            for index in range(len(held) - 1, -1, -1):
                if held[index].lock == lock:
                    del held[index]
                    return
        if not self._taken(lock, _Kind.SPIN if function in _SPIN_ENDS else _Kind.SLEEPING):
            self._report(
                KernelRule.STRAY_UNLOCK,
                f"{_named(function)} of {self._name(lock)}, which nobody holds",
                site,
            )

    # The rules

    def _holds(self, task: int) -> list[_Held]:
        """Return what a task still holds, by what the locks themselves say."""
        held = self._state.held.get(task, [])
        held[:] = [each for each in held if each.kind is None or self._taken(each.lock, each.kind)]
        return held

    def _taken(self, lock: int, kind: _Kind) -> bool:
        """Whether a lock says of itself that somebody has it."""
        return bool(self.scene.u32(lock) if kind is _Kind.SPIN else self.scene.u64(lock))

    def _check_deadlock(self, task: int, lock: int, kind: _Kind, function: str, site: Site) -> None:
        mine = [each for each in self._holds(task) if each.lock == lock]
        if kind is _Kind.SPIN and not mine:
            others = [each for other in list(self._state.held) for each in self._holds(other)]
            mine = [each for each in others if each.lock == lock]
        if not mine or (function in _SHARED and mine[-1].function in _SHARED):
            return
        holder = mine[-1]
        inside = self.scene.in_softirq or self.scene.in_hardirq
        who = "an interrupt's code" if inside and not holder.in_interrupt else "it"
        again = f"{who} takes {self._name(lock)} with {_named(function)}"
        why = "which the interrupted task holds" if who != "it" else "which it holds already"
        words = f"{again}, {why}: it waits for ever"
        self._report(KernelRule.DEADLOCK, words, site, (("taken", holder.site),))
        raise MachineDeath(f"deadlock on {self._name(lock)}")

    def _check_order(self, task: int, lock: int, site: Site) -> None:
        after = self._state.after
        for each in self._holds(task):
            if each.kind is None or each.lock == lock:
                continue
            known = after.setdefault(each.lock, {})
            if lock in known:
                continue
            known[lock] = (each.site, site)
            way = self._way(lock, each.lock)
            if way is not None:
                first, second = self._name(each.lock), self._name(lock)
                self._report(
                    KernelRule.LOCK_ORDER,
                    f"{second} is taken while {first} is held; elsewhere {first} is taken while "
                    f"{second} is held: two tasks can wait for each other for ever",
                    site,
                    (
                        (f"{first} taken", each.site),
                        ("other order: first", way[0]),
                        ("other order: then", way[1]),
                    ),
                )

    def _way(self, start: int, end: int) -> tuple[Site, Site] | None:
        """Return where ``end`` is taken, directly or not, while ``start`` is held."""
        after, seen, todo = self._state.after, {start}, [start]
        while todo:
            lock = todo.pop()
            for following, sites in after.get(lock, {}).items():
                if following == end:
                    return sites
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return None

    def _check_context(self, lock: int, function: str, site: Site) -> None:
        scene, uses = self.scene, self._state.uses.setdefault(lock, _Uses())
        masks_irqs = function.endswith(("_irq", "_irqsave"))
        if scene.in_hardirq:
            uses.in_hardirq = uses.in_hardirq or site
        elif scene.in_softirq:
            uses.in_softirq = uses.in_softirq or site
        if not scene.in_hardirq and scene.interrupts_enabled and not masks_irqs:
            uses.hardirqs_on = uses.hardirqs_on or site
        if scene.softirqs_enabled and not masks_irqs and not function.endswith("_bh"):
            uses.softirqs_on = uses.softirqs_on or site
        for inside, outside, what, cure in (
            (uses.in_hardirq, uses.hardirqs_on, "an interrupt handler", "spin_lock_irqsave"),
            (uses.in_softirq, uses.softirqs_on, "a softirq or timer", "spin_lock_bh"),
        ):
            if inside is not None and outside is not None:
                self._report(
                    KernelRule.LOCK_CONTEXT,
                    f"{self._name(lock)} is taken in {what}, and here where one can interrupt: "
                    f"it would wait for ever; {cure} prevents that",
                    outside,
                    ((f"taken in {what}", inside),),
                )

    def _why_atomic(self, task: int) -> str:
        held = self._holds(task)
        spinning = [each for each in held if each.kind is _Kind.SPIN]
        if spinning:
            lock = spinning[-1]
            return f"{self._name(lock.lock)} is held ({_named(lock.function)})"
        if self.scene.in_hardirq:
            return "an interrupt is being served"
        if self.scene.in_softirq:
            return "a softirq or timer is being served"
        if any(each.kind is None for each in held):
            return "rcu_read_lock() is held"
        if self.scene.preempt_count:
            return "preemption is off"
        return "" if self.scene.interrupts_enabled else "interrupts are off"

    def _may_sleep(self, what: str, site: Site) -> None:
        if self._crashed:
            return
        task = self.scene.task
        why = self._why_atomic(task)
        held = self._holds(task)
        if what in _FAULTING and why == "interrupts are off":
            why = ""
        if why:
            spinning = [each for each in held if each.kind in (_Kind.SPIN, None)]
            related = tuple((f"{_named(each.function)}", each.site) for each in spinning[-1:])
            words = f"{_named(what)} may sleep, which is forbidden here: {why}"
            self._report(KernelRule.ATOMIC_SLEEP, words, site, related)

    def _slept(self, address: int) -> None:
        """The kernel comes to a place where it may sleep, and must not."""
        if self._crashed:
            return
        site = self.scene.places.caller()
        if site is not None:
            why = self._why_atomic(self.scene.task) or "preemption is off"
            held = self._holds(self.scene.task)
            spinning = [each for each in held if each.kind is _Kind.SPIN]
            related = tuple((f"{_named(each.function)}", each.site) for each in spinning[-1:])
            words = f"what it calls may sleep, which is forbidden here: {why}"
            self._report(KernelRule.ATOMIC_SLEEP, words, site, related)
            interrupt = self.scene.in_softirq or self.scene.in_hardirq
            if interrupt and address == self.scene.kernel.kallsyms.get("schedule"):
                raise MachineDeath("the module sleeps while an interrupt is being served")

    def _kept(self, task: int, when: str) -> None:
        for each in self._holds(task):
            if each.kind is not None:
                words = f"{self._name(each.lock)}, taken by {_named(each.function)}, {when}"
                self._report(KernelRule.LOCK_HELD, words, each.site)

    def _ends(self, task: int) -> None:
        if not self._crashed:
            self._kept(task, "is still held when its task ends")
        self._state.held.pop(task, None)
        self._state.waits.pop(task, None)

    def _report_wait(self, task: int, wait: _Wait) -> set[int]:
        """Tell what a task waits for, and so on; return the tasks that were named."""
        related = []
        chain = [f"{self.scene.task_name(task)} waits for {self._name(wait.lock)}"]
        seen, lock = {task}, wait.lock
        while (holder := self._holder(lock)) is not None:
            owner, held = holder
            name = self.scene.task_name(owner)
            chain.append(f"{name} holds {self._name(lock)}")
            related.append((f"{name} took it", held.site))
            further = self._state.waits.get(owner)
            if further is None or owner in seen:
                break
            seen.add(owner)
            chain.append(f"{name} waits for {self._name(further.lock)}")
            related.append((f"{name} waits", further.site))
            lock = further.lock
        self._report(KernelRule.DEADLOCK, ", ".join(chain), wait.site, tuple(related))
        return seen

    def _holder(self, lock: int) -> tuple[int, _Held] | None:
        for task, each in self._all_held():
            if each.lock == lock:
                return task, each
        return None

    def _all_held(self) -> Iterator[tuple[int, _Held]]:
        for task in list(self._state.held):
            for each in self._holds(task):
                yield task, each

    def _crash(self) -> None:
        self._crashed = True

    def _name(self, lock: int) -> str:
        if lock == self.scene.kernel.kallsyms.get("rtnl_mutex"):
            return "the RTNL lock"
        return f"the lock {self.scene.places.name(lock)}"

    def _report(
        self, rule: KernelRule, words: str, site: Site, related: tuple[tuple[str, Site], ...] = ()
    ) -> None:
        if not self._crashed:
            self.scene.report(BrokenRule(rule, words, site, related))


def _named(function: str) -> str:
    name = _WORDS.get(function, function)
    return name if name.endswith(")") else f"{name}()"
