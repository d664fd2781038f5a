"""Build a package for every kernel that is known here, and load what comes out: no root, no trace.

What the maintainer of a package runs before an upload. Each build has trees of its own, which are
gone afterwards; the modules are kept only as long as they are tried.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lkm.build.dkms_tree import KernelTarget, Package
from lkm.errors import KernelError, LkmError, NotFoundError, UsageError
from lkm.kernels.known import KnownKernel, known_kernels
from lkm.operations.dkms import add, attempts, build
from lkm.operations.dkms.reporting import DkmsFailure, Recorder
from lkm.operations.dkms.session import DkmsSession
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lkm.operations.dkms.settings import DkmsSettings

_EXCLUDED = 77


class Proof(Record):
    """One package on one kernel.

    ``outcome`` is ``built``, ``loaded``, ``excluded``, ``failed``, ``refused`` or ``no headers``;
    ``detail`` the line that says why, ``log`` all that was said.
    """

    package: str
    kernel: str
    outcome: str
    detail: str = ""
    log: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing has to be mended."""
        return self.outcome in ("built", "loaded", "excluded")


def kernels_named(names: Sequence[str], *, fetch: bool = False) -> list[KnownKernel]:
    """Return the kernels named, ``all`` (which have headers here) by default.

    With ``fetch`` the headers that are missing are fetched, and kernels that are.
    """
    if fetch:
        return _fetched(names)
    every = known_kernels()
    if not names or list(names) == ["all"]:
        found = [kernel for kernel in every if kernel.headers]
        if not found:
            raise NotFoundError(
                "no kernel with headers is here", hint="lkm kernels fetch RELEASE --headers"
            )
        return found
    wanted = [name for text in names for name in text.split(",")]
    by_release = {kernel.release: kernel for kernel in every}
    missing = [name for name in wanted if name not in by_release]
    if missing:
        raise NotFoundError(
            f"kernel {missing[0]!r} is not here",
            hint=f"lkm kernels fetch {missing[0]} --headers",
        )
    return [by_release[name] for name in wanted]


def _fetched(names: Sequence[str]) -> list[KnownKernel]:
    from lkm.kernels.fetch import fetch_kernel  # asks package servers

    wanted = [name for text in names for name in text.split(",") if name != "all"]
    releases = wanted or [kernel.release for kernel in known_kernels()]
    return [fetch_kernel(release, headers=True) for release in dict.fromkeys(releases)]


def prove(
    settings: DkmsSettings,
    folder: str,
    kernels: Sequence[KnownKernel],
    *,
    load: bool,
    progress: Callable[[str], None],
) -> Iterator[Proof]:
    """Yield what becomes of the package in ``folder`` on each kernel."""
    if not os.path.isfile(f"{folder}/dkms.conf"):
        raise UsageError(f"{folder} has no dkms.conf", hint=f"lkm dkms new {folder} writes one")
    for kernel in kernels:
        progress(kernel.release)
        yield _prove_one(settings, folder, kernel, load=load)


def _prove_one(settings: DkmsSettings, folder: str, kernel: KnownKernel, *, load: bool) -> Proof:
    if kernel.headers is None:
        hint = f"lkm kernels fetch {kernel.release} --headers"
        return Proof(folder, kernel.release, "no headers", hint)
    with tempfile.TemporaryDirectory(prefix="lkm-dkms-test-") as place:
        for name in ("tree", "source", "modules", f"modules/{kernel.release}"):
            os.mkdir(f"{place}/{name}")
        recorder = Recorder()
        target = KernelTarget(kernel.release, os.uname().machine)
        session = DkmsSession(
            settings.replaced(
                dkms_tree=f"{place}/tree",
                source_tree=f"{place}/source",
                install_tree=f"{place}/modules",
                kernel_source=str(kernel.headers),
                source=folder,
                module="",
                version="",
                targets=(target,),
                framework={**settings.framework, "post_transaction": ""},
            ),
            recorder,
        )
        session.prepared = (target, None)  # no key is made, nothing is signed
        return _built(session, folder, target, kernel, recorder, load=load)


def _built(
    session: DkmsSession,
    folder: str,
    target: KernelTarget,
    kernel: KnownKernel,
    recorder: Recorder,
    *,
    load: bool,
) -> Proof:
    package = Package(folder, "")
    try:
        package = add.add(session)
        build.build(session, package, target)
    except DkmsFailure as failure:
        log = _log(session, package, recorder)
        if failure.status == _EXCLUDED:
            return Proof(str(package), kernel.release, "excluded", "BUILD_EXCLUSIVE", log)
        path = f"{session.tree.build_folder(package)}/make.log"
        line = attempts.decisive_line(path) or " ".join(failure.lines)
        return Proof(str(package), kernel.release, "failed", line, log)
    made = sorted(Path(session.tree.built_folder(package, target), "module").glob("*.ko*"))
    if not load:
        return Proof(str(package), kernel.release, "built", _names(made))
    return _loaded(str(package), kernel, made, _log(session, package, recorder))


def _names(made: Sequence[Path]) -> str:
    return " ".join(path.name.partition(".")[0] for path in made)


def _log(session: DkmsSession, package: Package, recorder: Recorder) -> str:
    said = recorder.text
    try:
        path = Path(session.tree.build_folder(package), "make.log")
        return said + path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return said


def _loaded(package: str, kernel: KnownKernel, made: Sequence[Path], log: str) -> Proof:
    """Load the modules into the emulated kernel, in an order that resolves what they need."""
    from lkm.kernel.emulated import open_machine  # loads Unicorn, an optional extra
    from lkm.kernel.kernel import Kernel

    if kernel.vmlinuz is None:
        return Proof(package, kernel.release, "built", "not loaded: its image is not here", log)
    waiting, refusals = list(made), dict.fromkeys(made, "")
    with Kernel(open_machine(kernel.vmlinuz, root=kernel.root)) as running:
        progress = True
        while waiting and progress:
            progress = False
            for path in list(waiting):
                try:
                    running.load(str(path))
                except KernelError as error:
                    refusals[path] = f"{path.name}: {error}" + "".join(
                        f"; {line}" for line in error.log[-1:]
                    )
                except LkmError as error:
                    refusals[path] = f"{path.name}: {error}"
                else:
                    waiting.remove(path)
                    progress = True
    if waiting:
        return Proof(package, kernel.release, "refused", refusals[waiting[0]], log)
    return Proof(package, kernel.release, "loaded", _names(made))
