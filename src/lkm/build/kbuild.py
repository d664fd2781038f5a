"""Build a module out of tree, with a kernel's own kbuild, without writing beside its source.

Source: ``Documentation/kbuild/modules.rst``. The source is copied into a folder of lkm's cache
and built there; what did not change since is not built again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm import files
from lkm.build import toolchain
from lkm.errors import FormatError, NotFoundError, ToolError, UnsupportedError, UsageError

_KEEP = 32
_IN_USE = 3600.0  # seconds since a build was last asked for
_PRODUCTS = ("*.o", "*.ko", "*.mod", "*.mod.c", ".*.cmd", ".git", "modules.order", "Module.symvers")
_STAMP = ".lkm-inputs"
_HEADERS_OF = "source"  # a link in the build folder to where a single .c file's own headers are
# make's spelling of a path: none of these survives its word splitting and expansion.
_UNSAFE = re.compile(r"[\s:#$%'\"\\;]")


@dataclass(frozen=True, slots=True)
class Build:
    """The result of a build: the modules, the compiler's output (warnings), the time it took.

    ``seconds`` is 0 when nothing had changed since the build before and none was needed.
    """

    modules: tuple[Path, ...]
    output: str
    seconds: float


def has_makefile(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder has what kbuild reads: a Kbuild or a Makefile."""
    return any(Path(folder, name).is_file() for name in ("Kbuild", "Makefile"))


def build(source: str | os.PathLike[str], headers: str | os.PathLike[str]) -> Build:
    """Build the modules of a .c file, or of a folder with a Kbuild or Makefile.

    ``headers`` is the kernel's build directory (``lib/modules/RELEASE/build``). Raises ToolError
    with the compiler's own words in ``output``, its paths being those of ``source``.
    """
    given = Path(source).absolute()
    _check_source(given)
    folder = _build_folder(given, Path(headers))
    with _locked(folder):
        inputs = _inputs(given, folder)
        kept = _kept(folder, inputs)
        if kept is not None:
            return kept
        started = time.monotonic()
        _copy(given, folder)
        output = _make(folder, given, Path(headers))
        done = Build(_modules(folder, given), output, time.monotonic() - started)
        _remember(folder, _inputs(given, folder), done)
        return done


def _check_source(source: Path) -> None:
    if not source.exists():
        raise NotFoundError(f"{source}: no such file or folder")
    if source.is_dir():
        if not has_makefile(source):
            raise NotFoundError(
                f"{source} has neither a Kbuild nor a Makefile",
                hint=f"echo 'obj-m := NAME.o' > {source}/Kbuild",
            )
    elif source.suffix != ".c" or not re.fullmatch(r"[A-Za-z0-9_-]+", source.stem):
        raise UsageError(f"{source.name} is no C file whose name a module can have")


def _build_folder(source: Path, headers: Path) -> Path:
    cache = files.cache_directory("build")
    if _UNSAFE.search(os.fspath(cache)):
        raise UnsupportedError(
            f"kbuild cannot work in {cache}, for the characters in its name",
            hint="set XDG_CACHE_HOME to a plainer path",
        )
    key = hashlib.sha256(f"{source.resolve()}\0{headers.resolve()}".encode()).hexdigest()[:24]
    folder = cache / key
    if not folder.exists():
        _forget_oldest(cache)
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    return folder


def _forget_oldest(cache: Path) -> None:
    """Remove the builds longest not asked for, but none that may still be in somebody's hands."""
    used = {}
    for path in cache.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process is at it, too
            if path.is_dir():
                used[path] = path.stat().st_mtime
    for old in sorted(used, key=used.__getitem__)[: -(_KEEP - 1)]:
        if used[old] < time.time() - _IN_USE:
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder.parent / f".{folder.name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _inputs(source: Path, folder: Path) -> dict[str, list[int]]:
    """Return what the build depends on, each file with its time and size."""
    if source.is_dir():
        found = [Path(top, name) for top, _, names in os.walk(source) for name in names]
        found = [path for path in found if ".git" not in path.parts]
    else:
        found = [source, *_included(folder / _HEADERS_OF, folder)]
    inputs = {}
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            inputs[os.fspath(path)] = [status.st_mtime_ns, status.st_size]
    return inputs


def _included(link: Path, folder: Path) -> list[Path]:
    """Return the headers of the source's own folder that the last build read."""
    read: set[str] = set()
    for command in folder.glob(".*.o.cmd"):
        read.update(re.findall(re.escape(os.fspath(link)) + r"/[^\s\\)]+", command.read_text()))
    return [Path(path) for path in sorted(read)]


def _kept(folder: Path, inputs: dict[str, list[int]]) -> Build | None:
    try:
        kept = json.loads((folder / _STAMP).read_text())
        modules = tuple(Path(path) for path in kept["modules"])
        if kept["inputs"] != inputs or not all(path.is_file() for path in modules):
            return None
        return Build(modules, str(kept["output"]), 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(folder: Path, inputs: dict[str, list[int]], done: Build) -> None:
    kept = {"inputs": inputs, "modules": [str(path) for path in done.modules]}
    files.write_atomic(folder / _STAMP, json.dumps({**kept, "output": done.output}).encode())


def _copy(source: Path, folder: Path) -> None:
    (folder / _STAMP).unlink(missing_ok=True)
    if source.is_dir():
        _empty_if_stale(source, folder)
        # Times are kept, so that kbuild compiles only what changed.
        shutil.copytree(
            source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_PRODUCTS)
        )
        return
    shutil.copy2(source, folder / source.name)
    link = folder / _HEADERS_OF
    if not link.is_symlink():
        link.symlink_to(source.parent)
    (folder / "Kbuild").write_text(
        f"obj-m := {source.stem}.o\nccflags-y += -I$(src)/{_HEADERS_OF}\n"
    )


def _empty_if_stale(source: Path, folder: Path) -> None:
    """Begin anew when a source file is gone, lest kbuild still find its copy or its object."""
    for path in folder.rglob("*"):
        copied = path.suffix in (".c", ".h", ".S") or path.name in ("Kbuild", "Makefile")
        made = path.name.endswith(".mod.c")
        if copied and not made and not (source / path.relative_to(folder)).exists():
            shutil.rmtree(folder)
            folder.mkdir()
            return


def _make(folder: Path, source: Path, headers: Path) -> str:
    command = ["make", "-s", "-C", os.fspath(headers), f"M={folder}", f"-j{os.cpu_count() or 1}"]
    own = os.fspath(source if source.is_dir() else source.parent)
    if not _UNSAFE.search(own):
        # Debug data, and __FILE__ in warnings, name the user's files.
        flags = [os.environ.get("KCFLAGS", "")]
        flags += [f"-ffile-prefix-map={place}={own}" for place in _places(folder)]
        command.append(f"KCFLAGS={' '.join(flags).strip()}")
    tools = toolchain.choose(headers)
    command += tools.variables
    # Not those of a make that lkm itself is run by.
    environment = {k: v for k, v in os.environ.items() if k not in _MAKE_VARIABLES}
    try:
        result = subprocess.run(
            [*command, "modules"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(
            "make is not installed", command=command, hint="apt install make gcc"
        ) from None
    output = _as_of_source(result.stdout.decode("utf-8", "replace"), source, folder)
    if result.returncode:
        raise ToolError(
            f"{source} does not compile",
            command=[*command, "modules"],
            returncode=result.returncode,
            output=output,
            hint=_hint(output),
        )
    return f"{tools.note}\n{output}" if tools.note else output


# Said even where none is used.
_OTHER_PAHOLE = re.compile(r"warning: pahole version differs .*\n(?:  .*: +\d+\n){2}")
_MAKE_VARIABLES = frozenset({"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "KERNELRELEASE"})


def _places(folder: Path) -> list[str]:
    """The names of ``folder``: newer kbuilds call it by where it is behind all links."""
    return list(dict.fromkeys((os.fspath(folder), os.fspath(folder.resolve()))))


def _as_of_source(output: str, source: Path, folder: Path) -> str:
    """Name the user's files instead of their copies; leave out what is not of the source."""
    own = source if source.is_dir() else source.parent
    for place in _places(folder):
        for copied in (f"{place}/{_HEADERS_OF}/", f"{place}/"):
            output = output.replace(copied, f"{own}/")

    def absolute(match: re.Match[str]) -> str:
        name = match[0].removeprefix(f"{_HEADERS_OF}/")
        return f"{own}/{name}" if (folder / match[0]).is_file() else match[0]

    # Newer kbuilds call the compiler inside the folder.
    output = re.sub(
        r"(?:^|(?<= from ))\w[\w./+-]*(?=:\d+[:,])", absolute, output, flags=re.MULTILINE
    )
    output = _OTHER_PAHOLE.sub("", output)
    lines = output.splitlines(keepends=True)
    said = [line for line in lines if not line.startswith("Skipping BTF generation")]
    # make repeats at each level that a compiler failed; where none did, its words are all.
    compilers = [line for line in said if not re.match(r"make(\[\d+\])?: ", line)]
    return "".join(compilers or said)


def _hint(output: str) -> str:
    if re.search(r"gcc(-\d+)?: (command )?not found|No such file.*gcc", output):
        return "the kernel's compiler is missing: apt install gcc"
    return ""


def _modules(folder: Path, source: Path) -> tuple[Path, ...]:
    """Return what was built, in the order kbuild lists it (``modules.order``)."""
    order = folder / "modules.order"
    names = order.read_text().split() if order.exists() else []
    modules = []
    for name in names:
        path = Path(name).with_suffix(".ko")
        path = path if path.is_absolute() else folder / path
        if not path.is_file():
            raise FormatError("a module", "none", path=os.fspath(path))
        modules.append(path)
    if not modules:
        raise UsageError(
            f"{source} builds no module", hint="its Kbuild or Makefile needs a line obj-m := NAME.o"
        )
    return tuple(modules)
