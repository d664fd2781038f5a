"""The guest's first root: the interpreter that runs us, the agent, the modules it needs.

Nothing is looked up by name in the guest, so a file lies where it lies here, and the programs of
the host need not be there at all.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lkm.errors import NotFoundError, ToolError
from lkm.kernel import cpio
from lkm.kernel.guest.interface import MODPROBE_PROGRAM
from lkm.kernel.vm.modprobe_program import modprobe_program
from lkm.module.image import ModuleImage, name_of
from lkm.module.names import normalize

_PACKAGE = Path(__file__).parents[2]
GUEST_PACKAGE = "/lkm/src"
"""The folder of the guest that our package lies in."""

_MODULE_LIST = "lkm/modules.list"
_WANTED_MODULES = ("virtio_pci", "virtio_console")
_AGENT_MODULES = ("lkm.kernel.guest.agent", "encodings.ascii", "encodings.latin_1")

AGENT_SOURCES = (
    *("__init__.py", "errors.py", "kernel/__init__.py", "kernel/syscalls.py", "kernel/live.py"),
    *(
        "kernel/guest/__init__.py",
        "kernel/guest/wire.py",
        "kernel/requests.py",
        "kernel/guest/interface.py",
    ),
    *("kernel/guest/process.py", "kernel/guest/modprobe.py", "kernel/guest/agent.py"),
)
"""The files of this package that the agent is made of."""

_INIT = """#!{interpreter} -ISB
import sys
sys.path.insert(0, {package!r})
from lkm.kernel.guest.agent import main
main()
"""

_LIST_FILES = """
import contextlib, importlib, os, pkgutil, sys, traceback
sys.path[:0] = {folders!r}
for name in {modules!r}:
    module = importlib.import_module(name.removesuffix(".*"))
    for found in pkgutil.iter_modules(module.__path__) if name.endswith(".*") else ():
        with contextlib.suppress(ImportError):
            importlib.import_module(module.__name__ + "." + found.name)
try:
    raise ValueError
except ValueError:
    traceback.format_exc()
for module in list(sys.modules.values()):
    for name in ("__file__", "__cached__"):
        path = getattr(module, name, None)
        if path and os.path.exists(path):
            print(path)
print(os.__file__)
"""

_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


def interpreter() -> str:
    """Return the path of the interpreter itself, not of a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


@functools.cache
def identity() -> bytes:
    """Return this guest's identity, which another interpreter or another lkm changes."""
    status = os.stat(interpreter())
    digest = hashlib.blake2b(f"{interpreter()}:{status.st_size}:{status.st_mtime_ns}".encode())
    for name in (*AGENT_SOURCES, "kernel/vm/guest.py"):
        digest.update((_PACKAGE / name).read_bytes())
    digest.update(modprobe_program())
    return digest.digest()


def initramfs(modules: Path | None) -> bytes:
    """Return the archive of a guest for the kernel whose ``/lib/modules/RELEASE`` is given."""
    needed = module_closure(modules, _WANTED_MODULES) if modules else []
    entries = [
        cpio.character_device("dev/console", 5, 1),
        *_interpreter_files(),
        *_module_files(needed),
        cpio.regular(MODPROBE_PROGRAM.lstrip("/"), modprobe_program(), 0o755),
        _init(),
    ]
    return cpio.archive(entries)


def _init() -> cpio.CpioEntry:
    text = _INIT.format(interpreter=interpreter(), package=GUEST_PACKAGE)
    return cpio.regular("init", text.encode(), 0o755)


def _module_files(paths: Iterable[Path]) -> Iterator[cpio.CpioEntry]:
    names = []
    for path in paths:
        image = ModuleImage.open(path)
        names.append(f"/lkm/{image.name}.ko")
        yield cpio.regular(names[-1].lstrip("/"), image.payload)
        image.close()
    yield cpio.regular(_MODULE_LIST, "\n".join(names).encode())


def module_closure(modules: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of ``wanted`` and of what they depend on, in load order.

    The modules' own ``depends`` fields are followed, for the tree need not have been indexed. A
    name without a file is taken for built in.
    """
    files = {name_of(path.name): path for path in modules.rglob("*.ko*")}
    ordered: dict[str, Path] = {}

    def visit(name: str) -> None:
        path = files.get(name)
        if path is None or name in ordered:
            return
        image = ModuleImage.open(path)
        for dependency in image.depends:
            visit(normalize(dependency))
        image.close()
        ordered[name] = path

    for name in wanted:
        visit(name)
    return list(ordered.values())


def _interpreter_files() -> Iterator[cpio.CpioEntry]:
    paths = imported_files(_AGENT_MODULES)
    programs = [interpreter(), *(path for path in paths if path.endswith(".so"))]
    yield from (_copy(path, path) for path in sorted({*programs, *libraries(programs)}))
    yield from (_copy(path, guest_path(path)) for path in paths if not path.endswith(".so"))
    # Without this folder the interpreter complains that it cannot find its own.
    standard = os.path.dirname(os.__file__)
    yield cpio.directory(f"{standard}/lib-dynload".lstrip("/"))
    if os.path.exists("/etc/ld.so.cache"):
        yield _copy("/etc/ld.so.cache", "/etc/ld.so.cache")


def _copy(path: str, guest_path: str) -> cpio.CpioEntry:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read()
    except FileNotFoundError:
        raise NotFoundError(f"{path} has gone; the guest needs it") from None
    return cpio.regular(guest_path.lstrip("/"), data, status.st_mode & 0o777, int(status.st_mtime))


def guest_path(path: str) -> str:
    """Return where a file of the host lies in the guest: its own place, but for our package."""
    inside = Path(path)
    if inside.is_relative_to(_PACKAGE):
        return f"{GUEST_PACKAGE}/{inside.relative_to(_PACKAGE.parent)}"
    return path


def imported_files(modules: Sequence[str], folders: Sequence[str] = ()) -> list[str]:
    """Ask the interpreter which files it reads to import ``modules``, compiled forms included.

    ``package.*`` stands for all modules of a package that need no more than this interpreter: for
    what is imported only when it is used. ``folders`` are searched besides its own and that of
    this package.
    """
    places = [str(_PACKAGE.parent), *folders]
    code = _LIST_FILES.format(folders=places, modules=list(modules))
    command = [interpreter(), "-I", "-S", "-c", code]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode:
        raise ToolError(
            "the interpreter cannot say which files it needs",
            command=command,
            returncode=listing.returncode,
            output=listing.stderr,
        )
    return sorted(set(listing.stdout.split("\n")) - {""})


def libraries(programs: list[str]) -> set[str]:
    """Return the shared libraries of ``programs`` under the names the loader looks for."""
    command = ["ldd", *programs]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    return {os.path.normpath(path) for path in _LIBRARY.findall(listing.stdout)}
