"""The system calls of a virtual machine, and what else can be done with its guest."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lkm.errors import FormatError, NotFoundError, UnsupportedError
from lkm.kernel.providers import from_tree
from lkm.kernel.requests import ModuleRequest, Provider, RequestDesk
from lkm.kernel.syscalls import FileReading, FileStatus, SyscallOutcome, Syscalls
from lkm.kernel.vm import guest, snapshot
from lkm.kernel.vm.connection import Connection
from lkm.kernel.vm.profile import Profile
from lkm.kernel.vm.replies import same_length
from lkm.kernel.vm.snapshot import Progress
from lkm.kernels.known import KnownKernel

_POLL_SECONDS = 0.05
_FILES_AT_ONCE = 64
_MOST_OUTPUT = 64 << 20
_LOAD_LIMIT = 180.0  # raid6_pq measures its algorithms for seconds, longer on a busy host


@dataclass(frozen=True, slots=True)
class FinishedProgram:
    """A program that ran in the guest: exit status (128 + N for signal N) and what it printed."""

    status: int
    stdout: bytes
    stderr: bytes


def open_machine(
    kernel: KnownKernel,
    *,
    command_line: str = "",
    cpus: int = 1,
    memory: int = 256,
    progress: Progress | None = None,
) -> VirtualMachine:
    """Return a fresh machine that runs ``kernel``; it ends with ``shut_down``, or with us.

    Raises NotFoundError when the kernel's image is not here, ToolError when QEMU is missing,
    KernelDiedError when the kernel does not boot.
    """
    if kernel.vmlinuz is None:
        raise NotFoundError(f"the image of kernel {kernel.release} is not here")
    profile = Profile(
        kernel.release, Path(kernel.vmlinuz), kernel.modules, command_line, cpus, memory
    )
    return VirtualMachine(profile, snapshot.start(profile, progress))


class VirtualMachine(Syscalls):
    """A guest whose agent makes the system calls; every load runs in a child of the agent."""

    def __init__(self, profile: Profile, connection: Connection) -> None:
        self.profile = profile
        self.connection = connection
        if profile.modules is not None:
            # ROOT/lib/modules/RELEASE
            self.answer_requests(from_tree(profile.modules.parents[2], profile.release))

    @property
    def name(self) -> str:
        """``vm:RELEASE``."""
        return f"vm:{self.profile.release}"

    @property
    def shares_host_files(self) -> bool:
        """False: its files are its own."""
        return False

    def limit_time(self, seconds: float | None) -> None:
        """End the machine in so many seconds if it is busy with a request then."""
        self.connection.deadline = None if seconds is None else time.monotonic() + seconds

    @property
    def requests(self) -> tuple[ModuleRequest, ...]:
        """The kernel's requests to modprobe, in order."""
        return tuple(self.desk.requests)

    @property
    def desk(self) -> RequestDesk:
        """Where requests for modules are taken and answered, within limits."""
        return self.connection.modprobe.desk

    def answer_requests(self, provider: Provider | None) -> None:
        """Say who answers when the kernel asks for a module; ``None``: modprobe fails."""
        self.desk.provider = provider

    def console(self) -> str:
        """The guest's output on its serial console."""
        return self.connection.process.console.text()

    # Files of the guest

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a whole file in the guest, and the folders it lies in."""
        self.connection.request("put", [(path, data, mode, 0)])

    def push(self, source: str | os.PathLike[str], path: str) -> None:
        """Copy a file of the host into the guest, or a folder with all that is in it.

        Times are kept, for Python compares a source's with its compiled form's.
        """
        start = Path(source)
        if not start.is_dir():
            self._push([(start, path)])
            return
        found = [file for file in sorted(start.rglob("*")) if file.is_file()]
        self._push([(file, f"{path.rstrip('/')}/{file.relative_to(start)}") for file in found])

    def push_program(self, source: str | os.PathLike[str], path: str) -> None:
        """Copy a program, and the shared libraries it needs, under the names it looks for."""
        libraries = guest.libraries([os.fspath(source)])
        self._push([(Path(library), library) for library in sorted(libraries)], missing_only=True)
        self.push(source, path)

    def push_imports(self, modules: Sequence[str], folders: Sequence[str] = ()) -> None:
        """Copy what Python needs to import ``modules``, those of ``folders`` among them."""
        files = guest.imported_files(modules, folders)
        libraries = guest.libraries([path for path in files if path.endswith(".so")])
        paths = (*files, *sorted(libraries))
        self._push([(Path(path), guest.guest_path(path)) for path in paths], missing_only=True)

    def _push(self, files: Sequence[tuple[Path, str]], *, missing_only: bool = False) -> None:
        if missing_only:
            missing = set(self.connection.request("missing", [path for _, path in files]))
            files = [pair for pair in files if pair[1] in missing]
        for start in range(0, len(files), _FILES_AT_ONCE):
            batch = [_read(*pair) for pair in files[start : start + _FILES_AT_ONCE]]
            self.connection.request("put", batch)

    # Programs in the guest

    def run(
        self, *command: str, stdin: bytes = b"", directory: str = "/", limit: float = 600.0
    ) -> FinishedProgram:
        """Run a program that is in the guest and wait for it to end, ``limit`` seconds at most.

        Raises FormatError when it prints more than 64 MiB.
        """
        handle = self.spawn(*command, directory=directory)
        output: tuple[list[bytes], list[bytes]] = ([], [])
        data: bytes | None = stdin
        deadline, size = time.monotonic() + limit, 0
        while True:
            left = max(deadline - time.monotonic(), 0.001)
            stdout, stderr, status = self.exchange(handle, data, limit=left)
            output[0].append(stdout)
            output[1].append(stderr)
            size += len(stdout) + len(stderr)
            if size > _MOST_OUTPUT:
                expected = f"at most {_MOST_OUTPUT} bytes of output from {command[0]}"
                raise FormatError(expected, f"{size} and more", path=self.name)
            if status is not None:
                return FinishedProgram(status, b"".join(output[0]), b"".join(output[1]))
            data = None

    def spawn(
        self, *command: str, directory: str = "/", terminal: tuple[int, int] | None = None
    ) -> int:
        """Start a program, on a terminal of so many rows and columns if given; return a handle."""
        handle: int = self.connection.request("spawn", command, directory, terminal)
        return handle

    def exchange(
        self, handle: int, data: bytes | None, *, wait: float = _POLL_SECONDS, limit: float = 600.0
    ) -> tuple[bytes, bytes, int | None]:
        """Feed a program (``None``: no more), and return new output, errors and final status."""
        stdout, stderr, status = self.connection.request(
            "exchange", handle, data, wait, limit=limit
        )
        return stdout, stderr, status

    # Syscalls

    def open(self, path: str, flags: int = 0, mode: int = 0o666) -> int:
        """open(2)."""
        descriptor: int = self.connection.request("open", path, flags, mode)
        return descriptor

    def close(self, descriptor: int) -> None:
        """close(2); on a dead machine there is nothing left to close."""
        if not self.connection.dead:
            self.connection.request("close", descriptor)

    def read(self, descriptor: int, size: int = 65536) -> bytes:
        """read(2)."""
        data: bytes = self.connection.request("read", descriptor, size)
        return data

    def read_records(self, descriptor: int, size: int = 8192) -> list[bytes]:
        """Call read(2) until it would block or ends, in the guest."""
        records: list[bytes] = self.connection.request("read_records", descriptor, size)
        return records

    def read_file(self, path: str) -> bytes:
        """Open, read to the end and close, in the guest."""
        data: bytes = self.connection.request("read_file", path)
        return data

    def write(self, descriptor: int, data: bytes) -> int:
        """write(2); may write less than it was given."""
        count: int = self.connection.request("write", descriptor, data)
        return count

    def lseek(self, descriptor: int, offset: int, whence: int = 0) -> int:
        """lseek(2)."""
        position: int = self.connection.request("lseek", descriptor, offset, whence)
        return position

    def ioctl(self, descriptor: int, request: int, argument: int | bytes = 0) -> bytes:
        """ioctl(2); with ``bytes``, the buffer as the kernel left it, else empty."""
        data: bytes = self.connection.request("ioctl", descriptor, request, argument)
        return data

    def stat(self, path: str, *, follow: bool = True) -> FileStatus:
        """stat(2), or lstat(2) when ``follow`` is false."""
        return _status(self.connection.request("stat", path, follow=follow))

    def readdir(self, path: str) -> list[str]:
        """Names in a directory but ``.`` and ``..``, sorted."""
        names: list[str] = self.connection.request("readdir", path)
        return names

    def for_each(self, call: str, paths: Sequence[str]) -> list[Any]:
        """Make one call for many paths, in the guest."""
        answers = self.connection.request("for_each", call, list(paths))
        same_length(answers, paths, self.name)
        results: list[Any] = []
        for answer in answers:
            try:
                value = self.connection.value_of(call, answer)
                results.append(_status(value) if call == "stat" else value)
            except OSError as error:
                results.append(error)
        return results

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        target: str = self.connection.request("readlink", path)
        return target

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """mkdir(2)."""
        self.connection.request("mkdir", path, mode)

    def unlink(self, path: str) -> None:
        """unlink(2)."""
        self.connection.request("unlink", path)

    def mount(
        self, source: str, target: str, filesystem: str, flags: int = 0, data: str = ""
    ) -> None:
        """mount(2)."""
        self.connection.request("mount", source, target, filesystem, flags, data)

    def umount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        self.connection.request("umount", target, flags)

    def socket(self, family: int, kind: int, protocol: int = 0) -> int:
        """socket(2)."""
        descriptor: int = self.connection.request("socket", family, kind, protocol)
        return descriptor

    def bind(self, descriptor: int, address: bytes) -> None:
        """bind(2); ``address`` is the raw ``struct sockaddr``."""
        self.connection.request("bind", descriptor, address)

    def syslog(self, action: int, size: int = 0) -> bytes:
        """syslog(2), for the actions that fill a buffer of ``size`` bytes."""
        data: bytes = self.connection.request("syslog", action, size)
        return data

    def init_module(self, image: bytes, parameters: str) -> SyscallOutcome:
        """init_module(2), in a child of the agent."""
        return self._outcome("init_module", image, parameters)

    def finit_module(self, descriptor: int, parameters: str, flags: int) -> SyscallOutcome:
        """finit_module(2), in a child of the agent."""
        return self._outcome("finit_module", descriptor, parameters, flags)

    def delete_module(self, name: str, flags: int) -> SyscallOutcome:
        """delete_module(2), in a child of the agent."""
        return self._outcome("delete_module", name, flags)

    def shut_down(self) -> None:
        """End the machine."""
        self.connection.close()

    def read_in_task(self, path: str, flags: int, most: int) -> FileReading:
        """Open a file and read of it, in a child of the agent."""
        answer = self.connection.request("read_in_task", path, flags, most, limit=_LOAD_LIMIT)
        return FileReading(*answer)

    def write_in_task(self, path: str, flags: int, data: bytes) -> SyscallOutcome:
        """Open a file and write to it, in a child of the agent."""
        return self._outcome("write_in_task", path, flags, data)

    def _outcome(self, call: str, *arguments: Any) -> SyscallOutcome:
        return SyscallOutcome(*self.connection.request(call, *arguments, limit=_LOAD_LIMIT))


def _status(value: Sequence[Any]) -> FileStatus:
    mode, size, uid, gid, rdev, mtime_ns = value
    return FileStatus(mode, size, uid, gid, (rdev[0], rdev[1]), mtime_ns)


def _read(source: Path, path: str) -> tuple[str, bytes, int, int]:
    status = source.stat()
    return path, source.read_bytes(), stat.S_IMODE(status.st_mode), status.st_mtime_ns


def virtual_machine(syscalls: Syscalls) -> VirtualMachine:
    """Return ``syscalls`` if it is a virtual machine's; UnsupportedError for any other."""
    if isinstance(syscalls, VirtualMachine):
        return syscalls
    raise UnsupportedError(f"{syscalls.name} is not a virtual machine")
