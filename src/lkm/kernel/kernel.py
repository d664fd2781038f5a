"""A kernel that modules can be loaded into: the same class for a live, a virtual, an emulated one.

It is written over :class:`~lkm.kernel.syscalls.Syscalls` alone: system calls, and the files under
/proc, /sys and /dev.
"""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lkm.errors import FormatError, KernelError, NotFoundError
from lkm.kernel.closing import Closing
from lkm.kernel.log import LogRecord
from lkm.kernel.log_reader import LogWatch, read_log
from lkm.kernel.proc import LoadedModule, parse_modules, sysfs_order
from lkm.kernel.syscalls import FileStatus, SyscallOutcome, Syscalls
from lkm.module import compression, forced
from lkm.module.image import ModuleImage
from lkm.module.names import normalize

_STATES = {"live": "Live", "coming": "Loading", "going": "Unloading"}
_LONGEST_NUMBER = 40

ParameterValue = str | int | bool | None | Sequence[str | int | bool]


class LoadFlags(enum.IntFlag):
    """Flags of finit_module(2), include/uapi/linux/module.h."""

    NONE = 0
    IGNORE_MODVERSIONS = 1
    IGNORE_VERMAGIC = 2
    COMPRESSED_FILE = 4


class LoadableImage(Protocol):
    """The part of a module already read that ``Kernel.load`` needs."""

    @property
    def path(self) -> str:
        """Where it came from, for messages."""
        ...

    @property
    def payload(self) -> bytes:
        """The uncompressed bytes."""
        ...


def parameter_text(parameters: str | Mapping[str, ParameterValue]) -> str:
    """Return the parameter string the kernel parses (``num=5 name="a b" flag``).

    Booleans become 1 and 0, sequences are joined by commas, ``None`` gives the bare name, and a
    value with a space is quoted (``kernel/params.c: next_arg``).
    """
    if isinstance(parameters, str):
        return parameters
    return " ".join(_parameter(name, value) for name, value in parameters.items())


def _parameter(name: str, value: ParameterValue) -> str:
    if value is None:
        return name
    text = _value_text(value)
    return f'{name}="{text}"' if any(c.isspace() for c in text) else f"{name}={text}"


def _value_text(value: ParameterValue) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (str, int)):
        return str(value)
    return ",".join(_value_text(item) for item in value or ())


class Kernel(Closing):
    """One kernel; a context manager that gives the machine back.

    Reading and writing files raises ``OSError`` with the kernel's errno, as on the machine
    itself; what changes modules raises :class:`~lkm.errors.KernelError` with the log lines the
    kernel wrote meanwhile; a kernel that dies raises :class:`~lkm.errors.KernelDiedError`.
    """

    def __init__(self, syscalls: Syscalls) -> None:
        self.syscalls = syscalls

    def close(self) -> None:
        """Give the machine back; the kernel cannot be used after this."""
        self.syscalls.shut_down()

    def limit_time(self, seconds: float | None) -> None:
        """Give up what is not done in so many seconds of wall time; ``None``: no limit.

        Whatever the kernel is doing then raises KernelDiedError; only a live one can be used on.
        """
        self.syscalls.limit_time(seconds)

    @property
    def name(self) -> str:
        """``live``, ``vm:RELEASE`` or ``emulated:RELEASE``."""
        return self.syscalls.name

    @property
    def release(self) -> str:
        """``uname -r`` of this kernel."""
        return self.read_text("/proc/sys/kernel/osrelease").strip()

    @property
    def command_line(self) -> str:
        """/proc/cmdline."""
        return self.read_text("/proc/cmdline").strip()

    # Files

    def read_file(self, path: str) -> bytes:
        """Return a whole file of this kernel's machine."""
        return self.syscalls.read_file(path)

    def read_text(self, path: str) -> str:
        """Return a whole file, decoded; bytes that are not UTF-8 are replaced."""
        return self.read_file(path).decode("utf-8", "replace")

    def write_file(self, path: str, data: bytes | str, *, create: bool = False) -> None:
        """Write to a file in one call, as /sys wants it; ``create`` makes or empties it."""
        content = data.encode() if isinstance(data, str) else data
        self._write(path, content, os.O_WRONLY | (os.O_CREAT | os.O_TRUNC if create else 0))

    def _write(self, path: str, content: bytes, flags: int, mode: int = 0o666) -> None:
        descriptor = self._open(path, flags, mode)
        try:
            while content:
                content = content[self.syscalls.write(descriptor, content) :]
        finally:
            self.syscalls.close(descriptor)

    def exists(self, path: str) -> bool:
        """Whether the path can be reached, following symbolic links."""
        try:
            self.syscalls.stat(path)
        except OSError:
            return False
        return True

    def stat(self, path: str, *, follow: bool = True) -> FileStatus:
        """stat(2) or lstat(2)."""
        return self.syscalls.stat(path, follow=follow)

    def list_directory(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        return self.syscalls.readdir(path)

    def list_directories(self, paths: Sequence[str]) -> dict[str, list[str]]:
        """Return the sorted names in each of the directories that can be read."""
        return self._each("readdir", paths)

    def read_texts(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the text of each of the files that can be read."""
        found = self._each("read_file", paths)
        return {path: data.decode("utf-8", "replace") for path, data in found.items()}

    def _each(self, call: str, paths: Sequence[str]) -> dict[str, Any]:
        results = zip(paths, self.syscalls.for_each(call, paths), strict=True)
        return {path: result for path, result in results if not isinstance(result, OSError)}

    def read_link(self, path: str) -> str:
        """readlink(2)."""
        return self.syscalls.readlink(path)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """mkdir(2)."""
        self.syscalls.mkdir(path, mode)

    def mount(
        self, source: str, target: str, filesystem: str, flags: int = 0, data: str = ""
    ) -> None:
        """mount(2)."""
        self.syscalls.mount(source, target, filesystem, flags, data)

    def unmount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        self.syscalls.umount(target, flags)

    def _open(self, path: str, flags: int, mode: int = 0o666) -> int:
        return self.syscalls.open(path, flags | os.O_CLOEXEC, mode)

    # Modules

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, newest first; none on a kernel without modules."""
        try:
            return parse_modules(self.read_text("/proc/modules"))
        except FileNotFoundError:
            return ()

    def module(self, name: str) -> LoadedModule:
        """Return one loaded module; NotFoundError when it is not loaded."""
        name = normalize(name)
        for module in self.modules():
            if module.name == name:
                return module
        raise NotFoundError(f"module {name} is not loaded in {self.name}")

    def is_loaded(self, name: str) -> bool:
        """Whether a module of that name is in /proc/modules."""
        name = normalize(name)
        return any(module.name == name for module in self.modules())

    def initial_state(self, name: str) -> str:
        """Return ``live``, ``coming`` or ``going``, as sysfs says it; empty when not loaded."""
        folder = f"/sys/module/{name.replace('-', '_')}"
        try:
            return self.read_text(f"{folder}/initstate").strip()
        except OSError:
            return ""

    def holders(self, name: str) -> tuple[str, ...]:
        """Return the modules that use this one, in the order in which sysfs lists them."""
        try:
            names = self.list_directory(f"/sys/module/{name.replace('-', '_')}/holders")
        except OSError:
            return ()
        return tuple(sysfs_order(names))

    def refcount(self, name: str) -> int | None:
        """Return a loaded module's reference count; ``None`` where there is none."""
        path = f"/sys/module/{name.replace('-', '_')}/refcnt"
        try:
            return _number_in(self.read_text(path), path)
        except OSError:
            return None

    def load(
        self,
        module: str | os.PathLike[str] | bytes | LoadableImage,
        parameters: str | Mapping[str, ParameterValue] = "",
        *,
        flags: LoadFlags = LoadFlags.NONE,
        **more: ParameterValue,
    ) -> LoadedModule:
        """Load a module and return its line of /proc/modules.

        ``module`` is a file of the host (compressed or not), its bytes, or an image read before;
        parameters are given as text, as a mapping, or each by its name (``num=42``).
        KernelError carries the errno, or the signal that killed the loading task, and the log.
        """
        text = " ".join(filter(None, (parameter_text(parameters), parameter_text(more))))
        label = _label(module)
        with self.watch_log() as watch:
            outcome, image = self._load(module, text, flags)
            if not outcome.ok:
                operation = " ".join(filter(None, (f"loading {label}", text)))
                raise _error(operation, outcome, watch.new_records())
        return self._loaded(image, label)

    def _load(
        self, module: str | os.PathLike[str] | bytes | LoadableImage, text: str, flags: LoadFlags
    ) -> tuple[SyscallOutcome, bytes]:
        if isinstance(module, (str, os.PathLike)):
            with open(module, "rb") as file:
                data = file.read()
            if self.syscalls.shares_host_files:
                return self._load_file(os.fspath(module), data, text, flags), data
            return self._load_bytes(compression.decompress(data), text, flags), data
        data = module if isinstance(module, bytes) else module.payload
        return self._load_bytes(data, text, flags), data

    def _load_file(self, path: str, data: bytes, text: str, flags: LoadFlags) -> SyscallOutcome:
        """finit_module where it can be used, as libkmod does: the kernel then knows the file."""
        packing = compression.detect(data)
        if packing is not compression.Compression.NONE:
            if self._decompression() != packing.value:
                return self._load_bytes(compression.decompress(data), text, flags)
            flags |= LoadFlags.COMPRESSED_FILE
        outcome = self._finit(path, text, flags)
        if outcome.errno == errno.ENOSYS:
            return self._init(compression.decompress(data), text, flags)
        return outcome

    def _decompression(self) -> str:
        """The one format this kernel unpacks by itself; empty when it does not."""
        try:
            return self.read_text("/sys/module/compression").strip()
        except OSError:
            return ""

    def _load_bytes(self, data: bytes, text: str, flags: LoadFlags) -> SyscallOutcome:
        # init_module takes no flags, and answers ENOEXEC to no bytes where a file gives EINVAL.
        if data and not flags:
            return self.syscalls.init_module(data, text)
        # A name of our own and O_EXCL: anyone may write to the folder, and we may be root.
        folder = "/dev/shm" if self.exists("/dev/shm") else "/tmp"
        path = f"{folder}/.lkm-module-{os.getpid()}"
        self._write(path, data, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            outcome = self._finit(path, text, flags)
        finally:
            self.syscalls.unlink(path)
        return self._init(data, text, flags) if outcome.errno == errno.ENOSYS else outcome

    def _init(self, data: bytes, text: str, flags: LoadFlags) -> SyscallOutcome:
        """init_module where finit_module is absent, or forbidden (seccomp), as libkmod does.

        It takes no flags: what a kernel is not to compare is taken out of the module.
        """
        if flags & LoadFlags.IGNORE_MODVERSIONS:
            data = forced.without_versions(data)
        if flags & LoadFlags.IGNORE_VERMAGIC:
            data = forced.without_vermagic(data)
        return self.syscalls.init_module(data, text)

    def _finit(self, path: str, text: str, flags: LoadFlags) -> SyscallOutcome:
        descriptor = self._open(path, os.O_RDONLY)
        try:
            return self.syscalls.finit_module(descriptor, text, int(flags))
        finally:
            self.syscalls.close(descriptor)

    def _loaded(self, data: bytes, label: str) -> LoadedModule:
        try:
            image = ModuleImage.from_bytes(data, path=label)
            names = {image.modinfo.get("name"), image.name}
        except FormatError:  # the kernel takes some files that break the format's rules
            names = set()
        modules = self.modules()
        # The newest is first; init may have asked for others, which then are newer.
        for module in modules:
            if module.name in names or not names:
                return module
        return self._unlisted(next(filter(None, names), label))

    def _unlisted(self, name: str) -> LoadedModule:
        """Return what sysfs says of a module where /proc/modules is absent, or does not list it."""
        folder = f"/sys/module/{normalize(name)}"
        texts = self.read_texts([f"{folder}/{file}" for file in ("coresize", "refcnt", "taint")])
        size, refcount = (
            _number_in(texts.get(f"{folder}/{file}", ""), f"{folder}/{file}")
            for file in ("coresize", "refcnt")
        )
        state = _STATES.get(self.initial_state(name), "")
        taints = texts.get(f"{folder}/taint", "").strip()
        return LoadedModule(normalize(name), size or 0, refcount, (), state, 0, taints)

    def unload(self, name: str, *, force: bool = False) -> None:
        """Unload a module by name, as ``rmmod`` does; ``force`` as ``rmmod -f``."""
        name = normalize(name)
        flags = os.O_NONBLOCK | (os.O_TRUNC if force else 0)
        with self.watch_log() as watch:
            outcome = self.syscalls.delete_module(name, flags)
            if not outcome.ok:
                raise _error(f"unloading {name}", outcome, watch.new_records())

    # Parameters

    def parameters(self, name: str) -> dict[str, str]:
        """Return the parameters under /sys/module/NAME/parameters that can be read.

        A value that the kernel does not let even root read is left out.
        """
        folder = self._parameter_directory(name)
        if not self.exists(folder):
            return {}
        values: dict[str, str] = {}
        for parameter in self.list_directory(folder):
            try:
                values[parameter] = self.read_text(f"{folder}/{parameter}").removesuffix("\n")
            except PermissionError:
                continue
        return values

    def set_parameter(self, name: str, parameter: str, value: ParameterValue) -> None:
        """Set one parameter of a loaded or built-in module at run time."""
        path = f"{self._parameter_directory(name)}/{parameter}"
        text = "" if value is None else _value_text(value)
        with self.watch_log() as watch:
            try:
                self.write_file(path, text)
            except OSError as error:
                log = [record.text for record in watch.new_records()]
                operation = f"writing {text!r} to {path}"
                raise KernelError(operation, errno=error.errno or 0, log=log) from error

    def _parameter_directory(self, name: str) -> str:
        folder = f"/sys/module/{name.replace('-', '_')}"
        if not self.exists(folder):
            raise NotFoundError(f"module {name} is not in {self.name}")
        return f"{folder}/parameters"

    # Log and taint

    def log(self) -> tuple[LogRecord, ...]:
        """Return the kernel log, oldest record first; OSError where the caller may not read it."""
        return read_log(self.syscalls)

    def log_since(self, sequence: int) -> tuple[LogRecord, ...]:
        """Return the records after the one with that sequence number."""
        return tuple(record for record in self.log() if record.sequence > sequence)

    def watch_log(self) -> LogWatch:
        """Return a watch that sees what is logged from now on."""
        return LogWatch(self.syscalls)

    def taint(self) -> int:
        """Return /proc/sys/kernel/tainted; see :mod:`lkm.taint`."""
        path = "/proc/sys/kernel/tainted"
        return _number_in(self.read_text(path), path) or 0


def _number_in(text: str, path: str) -> int | None:
    """Return the number a file of the kernel's holds, ``None`` when it is empty."""
    try:
        return int(text[:_LONGEST_NUMBER]) if text.strip() else None
    except ValueError:
        raise FormatError("a number", repr(text[:_LONGEST_NUMBER]), path=path) from None


def _label(module: str | os.PathLike[str] | bytes | LoadableImage) -> str:
    if isinstance(module, bytes):
        return "<bytes>"
    if isinstance(module, (str, os.PathLike)):
        return os.fspath(module)
    return module.path


def _error(operation: str, outcome: SyscallOutcome, records: Sequence[LogRecord]) -> KernelError:
    return KernelError(
        operation,
        errno=outcome.errno,
        signal=outcome.signal,
        log=[record.text for record in records],
    )
