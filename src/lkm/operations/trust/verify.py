"""Verify modules and whole trees against the keys of a kernel, of files, of this machine."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import LkmError, NotFoundError, UsageError
from lkm.kernels.known import find_kernel
from lkm.module.image import ModuleImage
from lkm.operations import module_files
from lkm.operations.module_files import FileFailure, ModuleFile
from lkm.operations.parallel import Progress, spread
from lkm.signing import certificate, keyring, trust_state, verify
from lkm.signing.keyring import Keyring, TrustedKey
from lkm.signing.verify import SignatureVerdict, Verification
from lkm.vmlinux.image import open_cached

BUILTIN = "built into"


@dataclass(frozen=True, slots=True)
class Summary:
    """How many modules got each verdict, and who signed how many of the valid ones."""

    total: int
    verdicts: dict[str, int]
    signers: dict[str, int]
    unreadable: int

    @property
    def all_valid(self) -> bool:
        """Whether every module is valid."""
        return self.verdicts.get(SignatureVerdict.VALID.value, 0) == self.total


def keyring_of(
    *,
    certificates: Sequence[str] = (),
    kernel: str = "",
    directory: str = "",
    modules: Sequence[ModuleFile] = (),
) -> Keyring:
    """Return the keys to verify with: those of all that is named.

    ``kernel`` is a release, a path of a vmlinuz, or ``live`` (the running kernel's and this
    machine's MOKs). With nothing named, the kernel is the one ``modules`` were built for.
    """
    ring = keyring.from_files(certificates)
    if directory:
        ring += keyring.from_directory(directory)
    if not (certificates or kernel or directory):
        kernel = _release_of(modules)
    if kernel:
        ring += kernel_keyring(kernel)
    return ring


def kernel_keyring(kernel: str) -> Keyring:
    """Return the keys a kernel trusts: built in, and this machine's MOKs for the running one."""
    running = os.uname().release
    release = running if kernel == "live" else kernel
    if os.path.isfile(kernel):
        return builtin_keyring(kernel)
    found = find_kernel(release)
    if found.vmlinuz is None:
        raise NotFoundError(
            f"the image of kernel {found.release}, which holds its keys, is not here",
            hint=f"fetch it: lkm kernels fetch {found.release}, or name certificates: --cert",
        )
    ring = builtin_keyring(found.vmlinuz)
    return ring + machine_keyring() if found.release == running else ring


def builtin_keyring(vmlinuz: str | os.PathLike[str]) -> Keyring:
    """Return the keys built into a kernel image (``.builtin_trusted_keys``)."""
    source = f"{BUILTIN} {Path(vmlinuz).name}"
    listed = certificate.split(open_cached(vmlinuz).certificates, os.fspath(vmlinuz))
    return Keyring(TrustedKey(found, source) for found in listed)


def machine_keyring(root: str = "/") -> Keyring:
    """Return the MOKs that are enrolled on this machine, or in a saved copy of its files."""
    state = trust_state.read(trust_state.directory_reader(root))
    return Keyring(TrustedKey(key.certificate, key.variable) for key in state.enrolled)


def _release_of(modules: Sequence[ModuleFile]) -> str:
    """Return the release the first readable module was built for."""
    for module in modules:
        try:
            image = ModuleImage.open(module.path)
            found = image.vermagic
            image.close()
        except (LkmError, OSError):
            continue
        if found is not None:
            return found.release
    raise UsageError(
        "no module says which kernel it is for",
        hint="say whose keys count: --cert CERT, --kernel RELEASE or --keyring DIR",
    )


def verify_modules(
    modules: Sequence[ModuleFile], ring: Keyring, *, progress: Progress | None = None
) -> tuple[Verification | FileFailure, ...]:
    """Return the verdict on each of ``modules``, in their order, or why it cannot be read."""
    work = functools.partial(_verify_one, ring=ring)
    return tuple(spread(work, modules, what="verify", progress=progress))


def _verify_one(module: ModuleFile, ring: Keyring) -> Verification | FileFailure:
    try:
        data, _ = module_files.read(module.path)
        module_files.check_is_elf(data, module.path)
    except (LkmError, OSError) as error:
        return module_files.failure(module.path, error)
    return verify.verify(data, ring, module.path)


def summarise(results: Sequence[Verification | FileFailure]) -> Summary:
    """Return how many of ``results`` say what."""
    verified = [result for result in results if isinstance(result, Verification)]
    verdicts = Counter(result.verdict.value for result in verified)
    signers = Counter(
        result.signer for result in verified if result.verdict is SignatureVerdict.VALID
    )
    return Summary(
        len(results), dict(verdicts.most_common()), dict(signers), len(results) - len(verified)
    )
