"""The emulated machine: the system calls of its first task, and what only an emulator can do."""

from __future__ import annotations

import functools
import gc
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lkm.kernel.emulated import system_calls as abi
from lkm.kernel.emulated.file_formats import parse_directory, parse_status
from lkm.kernel.emulated.hardware.processor import Limits
from lkm.kernel.emulated.modprobe import ModprobeTask
from lkm.kernel.emulated.session import Session
from lkm.kernel.emulated.start.snapshot import Snapshot
from lkm.kernel.emulated.system_calls import Call, Number
from lkm.kernel.emulated.tasks import Program
from lkm.kernel.requests import ModuleRequest, Provider, RequestDesk
from lkm.kernel.syscalls import (
    FileReading,
    FileStatus,
    ReadingCollector,
    SyscallOutcome,
    Syscalls,
)

if TYPE_CHECKING:
    from lkm.kernel.emulated.watch.code_page import Workshop
    from lkm.kernel.emulated.watch.guard import GuardHeap
    from lkm.kernel.emulated.watch.interposition import Interposition
    from lkm.kernel.emulated.watch.load_way import LoadWay
    from lkm.kernel.emulated.watch.module_memory import MemoryWatch
    from lkm.kernel.log import LogRecord
    from lkm.module.image import ModuleImage
    from lkm.vmlinux.image import VmlinuxImage

_MOST_AT_ONCE = 4 << 20
_PATH_MAX = 4096
_STATUS_SIZE = 144
_DIRECTORY_BUFFER = 32768


class EmulatedMachine(Syscalls):
    """A kernel running in this process; see :class:`~lkm.kernel.syscalls.Syscalls`."""

    def __init__(self, snapshot: Snapshot, path: str) -> None:
        self.snapshot = snapshot
        self.path = path
        self._modprobe = ModprobeTask()
        self.session = Session(snapshot, self._modprobe)
        self._workshop: Workshop | None = None
        self._interposition: Interposition | None = None

    # What only this machine can do

    @functools.cached_property
    def image(self) -> VmlinuxImage:
        """The kernel's image; running it does not take what is read from it."""
        from lkm.vmlinux.image import open_cached

        return open_cached(self.path)

    @property
    def release(self) -> str:
        """The kernel's release."""
        return self.snapshot.state.layout.release

    @property
    def name(self) -> str:
        """``emulated:RELEASE``."""
        return f"emulated:{self.release}"

    @property
    def shares_host_files(self) -> bool:
        """False: the machine's files are its own."""
        return False

    @property
    def limits(self) -> Limits:
        """How long the kernel may be busy or idle."""
        return self.session.restored.processor.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self.session.restored.processor.limits = limits

    def limit_time(self, seconds: float | None) -> None:
        """Stop the machine for good in so many seconds of wall time, unless told anew."""
        deadline = None if seconds is None else time.monotonic() + seconds
        self.session.restored.processor.deadline = deadline

    @property
    def requests(self) -> tuple[ModuleRequest, ...]:
        """The programs that the kernel executed (``/sbin/modprobe``), in order."""
        return tuple(self.desk.requests)

    @property
    def dead(self) -> str:
        """Why the kernel will not go on; empty while it lives."""
        return self.session.dead

    @property
    def desk(self) -> RequestDesk:
        """Where requests for modules are taken and answered, within limits."""
        return self._modprobe.desk

    def answer_requests(self, provider: Provider | None) -> None:
        """Say who answers when the kernel asks for a module; ``None``: modprobe fails."""
        self.desk.provider = provider

    def rewind(self) -> None:
        """Go back to the state of the snapshot: nothing that was done since then has happened."""
        self._end_interposition()
        self.session.rewind()
        if self._workshop is not None:
            self._workshop.rewound()

    def interpose(
        self,
        image: ModuleImage,
        *,
        guard: bool = False,
        trace: bool = False,
        rules: bool = False,
        guard_alignment: int = 8,
    ) -> Interposition:
        """Watch a module from the next time it is loaded until the machine is rewound.

        ``guard`` puts its objects on guarded pages (see ``guard.GuardHeap`` for the alignment),
        ``trace`` keeps its calls, ``rules`` holds it to the kernel's rules (locking, what it
        leaves behind, which memory is whose). There is one interposition at a time.
        """
        # Imported when wanted: most machines run without.
        from lkm.kernel.emulated.watch.code_page import Workshop
        from lkm.kernel.emulated.watch.interposition import Interposition, InterpositionTools

        self._end_interposition()
        restored = self.session.restored
        if self._workshop is None:
            self._workshop = Workshop(restored.processor)
        heap = self._guard_heap(guard_alignment) if guard else None
        made = Interposition(
            restored.processor,
            self.image,
            image,
            self._workshop,
            InterpositionTools(heap, trace, rules),
        )
        restored.module_loads.listener = made.coming
        self._interposition = made
        return made

    def watch_way(
        self,
        functions: Iterable[str],
        entered: Callable[[str], None],
        logged: Callable[[LogRecord], None],
    ) -> LoadWay:
        """Tell of kernel functions entered and of records logged, until the way is ended.

        The listeners are called while the kernel runs: they must not make system calls.
        """
        from lkm.kernel.emulated.watch.load_way import LoadWay  # most machines run without

        processor = self.session.restored.processor
        return LoadWay(processor, self.image, functions=functions, entered=entered, logged=logged)

    def watch_memory(
        self,
        image: ModuleImage,
        *,
        linked: Callable[[], None],
        protected: Callable[[], None],
    ) -> MemoryWatch:
        """Watch where a module is put the next time it is loaded; see ``MemoryWatch``."""
        from lkm.kernel.emulated.watch.module_memory import MemoryWatch  # as above

        processor = self.session.restored.processor
        return MemoryWatch(processor, self.image, image, linked=linked, protected=protected)

    def _end_interposition(self) -> None:
        if self._interposition is not None:
            self._interposition.close()
            self._interposition = None
            self.session.restored.module_loads.listener = None

    def _guard_heap(self, alignment: int) -> GuardHeap:
        from lkm.kernel.emulated.watch.guard import TABLES, GuardHeap, blocks

        assert self._workshop is not None
        symbols = self.image.kallsyms
        allocate = symbols.get("__get_free_pages") or symbols["get_free_pages_noprof"]
        got = blocks(self.session.call_kernel, allocate)
        processor = self.session.restored.processor
        return GuardHeap(processor, got, self._workshop.take_tables(TABLES), alignment)

    # Files

    def open(self, path: str, flags: int = 0, mode: int = 0o666) -> int:
        """open(2)."""
        with self.session.buffers() as arena:
            return self.session.call(Number.OPEN, arena.text(path), flags, mode, path=path)

    def close(self, descriptor: int) -> None:
        """close(2); on a dead machine there is nothing left to close."""
        if not self.session.dead:
            self.session.call(Number.CLOSE, descriptor)

    def read(self, descriptor: int, size: int = 65536) -> bytes:
        """read(2), of at most 4 MiB."""
        size = min(size, _MOST_AT_ONCE)
        with self.session.buffers() as arena:
            buffer = arena.reserve(size)
            return arena.get(buffer, self.session.call(Number.READ, descriptor, buffer, size))

    def write(self, descriptor: int, data: bytes) -> int:
        """write(2), of at most 4 MiB."""
        data = data[:_MOST_AT_ONCE]
        with self.session.buffers() as arena:
            return self.session.call(Number.WRITE, descriptor, arena.put(data), len(data))

    def lseek(self, descriptor: int, offset: int, whence: int = 0) -> int:
        """lseek(2)."""
        return self.session.call(Number.LSEEK, descriptor, offset, whence)

    def ioctl(self, descriptor: int, request: int, argument: int | bytes = 0) -> bytes:
        """ioctl(2); with ``bytes``, the buffer as the kernel left it, else empty."""
        with self.session.buffers() as arena:
            if isinstance(argument, int):
                self.session.call(Number.IOCTL, descriptor, request, argument)
                return b""
            buffer = arena.put(argument)
            self.session.call(Number.IOCTL, descriptor, request, buffer)
            return arena.get(buffer, len(argument))

    def stat(self, path: str, *, follow: bool = True) -> FileStatus:
        """stat(2), or lstat(2) when ``follow`` is false."""
        with self.session.buffers() as arena:
            buffer, name = arena.reserve(_STATUS_SIZE), arena.text(path)
            flags = 0 if follow else abi.AT_SYMLINK_NOFOLLOW
            arguments = (abi.AT_FDCWD, name, buffer, flags)
            self.session.call(Number.NEWFSTATAT, *arguments, path=path)
            return parse_status(arena.get(buffer, _STATUS_SIZE))

    def readdir(self, path: str) -> list[str]:
        """Names in a directory but ``.`` and ``..``, sorted."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        names: list[str] = []
        try:
            with self.session.buffers() as arena:
                buffer = arena.reserve(_DIRECTORY_BUFFER)
                arguments = (descriptor, buffer, _DIRECTORY_BUFFER)
                while size := self.session.call(Number.GETDENTS64, *arguments, path=path):
                    names += parse_directory(arena.get(buffer, size))
        finally:
            self.close(descriptor)
        return sorted(name for name in names if name not in (".", ".."))

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        with self.session.buffers() as arena:
            name, buffer = arena.text(path), arena.reserve(_PATH_MAX)
            size = self.session.call(Number.READLINK, name, buffer, _PATH_MAX, path=path)
            return arena.get(buffer, size).decode("utf-8", "surrogateescape")

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """mkdir(2)."""
        with self.session.buffers() as arena:
            self.session.call(Number.MKDIR, arena.text(path), mode, path=path)

    def unlink(self, path: str) -> None:
        """unlink(2)."""
        with self.session.buffers() as arena:
            self.session.call(Number.UNLINK, arena.text(path), path=path)

    def mount(
        self, source: str, target: str, filesystem: str, flags: int = 0, data: str = ""
    ) -> None:
        """mount(2)."""
        with self.session.buffers() as arena:
            texts = [arena.text(text) for text in (source, target, filesystem, data)]
            self.session.call(Number.MOUNT, *texts[:3], flags, texts[3], path=target)

    def umount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        with self.session.buffers() as arena:
            self.session.call(Number.UMOUNT2, arena.text(target), flags, path=target)

    def socket(self, family: int, kind: int, protocol: int = 0) -> int:
        """socket(2)."""
        return self.session.call(Number.SOCKET, family, kind, protocol)

    def bind(self, descriptor: int, address: bytes) -> None:
        """bind(2); ``address`` is the raw ``struct sockaddr``."""
        with self.session.buffers() as arena:
            self.session.call(Number.BIND, descriptor, arena.put(address), len(address))

    def syslog(self, action: int, size: int = 0) -> bytes:
        """syslog(2), for the actions that fill a buffer of ``size`` bytes."""
        size = min(size, _MOST_AT_ONCE)
        with self.session.buffers() as arena:
            buffer = arena.reserve(size)
            return arena.get(buffer, self.session.call(Number.SYSLOG, action, buffer, size))

    # Modules

    def init_module(self, image: bytes, parameters: str) -> SyscallOutcome:
        """init_module(2), in a thread of its own, so that an oops costs only that thread."""
        with self.session.buffers() as arena, self.session.copied(image) as address:
            text = arena.text(parameters)
            return self.session.in_thread(Number.INIT_MODULE, address, len(image), text)

    def finit_module(self, descriptor: int, parameters: str, flags: int) -> SyscallOutcome:
        """finit_module(2), in a thread of its own."""
        with self.session.buffers() as arena:
            text = arena.text(parameters)
            return self.session.in_thread(Number.FINIT_MODULE, descriptor, text, flags)

    def delete_module(self, name: str, flags: int) -> SyscallOutcome:
        """delete_module(2), in a thread of its own."""
        with self.session.buffers() as arena:
            return self.session.in_thread(Number.DELETE_MODULE, arena.text(name), flags)

    def read_in_task(self, path: str, flags: int, most: int) -> FileReading:
        """Open a file and read of it, in a thread of its own."""
        collector = ReadingCollector(most)
        last = [0]
        with self.session.buffers() as arena:
            name, buffer = arena.text(path), arena.reserve(most)

            def program() -> Program:
                descriptor = last[0] = yield Call(Number.OPEN, (name, flags, 0))
                while last[0] >= 0 and (size := collector.wanted):
                    count = last[0] = yield Call(Number.READ, (descriptor, buffer, size))
                    if count == 0:
                        break
                    if count > 0:
                        collector.add(arena.get(buffer, count))
                if descriptor >= 0:
                    yield Call(Number.CLOSE, (descriptor,))
                return 0

            signal = self.session.run_thread(f"reading {path}", program(), kill=True)
        failed = -last[0] if last[0] < 0 and not signal else 0
        return collector.result(ended=last[0] == 0, errno=failed, signal=signal)

    def write_in_task(self, path: str, flags: int, data: bytes) -> SyscallOutcome:
        """Open a file and write to it, in a thread of its own."""
        results = []
        with self.session.buffers() as arena, self.session.copied(data) as address:
            name = arena.text(path)

            def program() -> Program:
                descriptor = yield Call(Number.OPEN, (name, flags, 0))
                if descriptor < 0:
                    results.append(descriptor)
                    return 0
                written = 0
                while written < len(data) or not data:
                    place, rest = address + written, len(data) - written
                    count = yield Call(Number.WRITE, (descriptor, place, rest))
                    written = count if count < 0 else written + count
                    if count <= 0:
                        break
                results.append(written)
                yield Call(Number.CLOSE, (descriptor,))
                return 0

            signal = self.session.run_thread(f"writing {path}", program(), kill=True)
        result = results[0] if results else 0
        if signal:
            return SyscallOutcome(signal=signal)
        return SyscallOutcome(errno=-result) if result < 0 else SyscallOutcome(result)

    def let_pass(self, seconds: float) -> None:
        """Let the machine's own time pass; what memory was freed meanwhile is gone then."""
        if seconds > 0:
            self.session.sleep(seconds)
        if self._interposition is not None and not self.session.dead:
            self._interposition.look_anew()

    def shut_down(self) -> None:
        """Free the machine."""
        self._end_interposition()
        self.session.close()
        self.snapshot.close()
        # The emulator, up to 100 MB of it, is held by a cycle of callbacks.
        gc.collect()
