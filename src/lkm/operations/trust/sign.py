"""Sign modules, and take their signatures away: files and whole trees."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lkm import files
from lkm.errors import LkmError, NotFoundError, UsageError
from lkm.module import signature
from lkm.operations import module_files
from lkm.operations.module_files import FileFailure, ModuleFile
from lkm.operations.parallel import Progress, spread
from lkm.signing import certificate, keys, sign
from lkm.signing.sign import KeySigner, ModuleSigner, OpensslSigner, SignFileSigner

_SIGN_FILE = "scripts/sign-file"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A module that was signed or stripped: where it was written, sizes in bytes.

    ``was_signed`` tells of a signature it had before.
    """

    path: str
    target: str
    size: int
    was_signed: bool


@dataclass(frozen=True, slots=True)
class SigningSetup:
    """A signer that is ready, and what the user should know of its certificate."""

    signer: ModuleSigner
    warnings: tuple[str, ...]


def prepare(
    key: str,
    certificate_path: str | os.PathLike[str],
    *,
    digest: str = "sha256",
    passphrase: bytes | None = None,
    program: str = "",
    any_usage: bool = False,
) -> SigningSetup:
    """Return the signer for a private key and its certificate, after all that can be checked.

    ``key`` is a file, or a ``pkcs11:`` URI, for which ``program`` is called: a ``sign-file`` (by
    default that of the kernel's headers) or an ``openssl``. Raises ``PassphraseError``,
    ``FormatError``, and ``LkmError`` when the two do not belong together.
    """
    if digest not in sign.DIGESTS:
        raise UsageError(f"{digest}: not one of {', '.join(sign.DIGESTS)}")
    found = certificate.load(certificate_path)
    if not any_usage:
        sign.check_usage(found)
    warnings = sign.certificate_warnings(found, datetime.now(UTC))
    if key.startswith("pkcs11:"):
        program = program or find_sign_file()
        reached: ModuleSigner = (
            OpensslSigner(program, key, found, digest)
            if os.path.basename(program).startswith("openssl")
            else SignFileSigner(program, key, os.fspath(certificate_path), digest)
        )
        return SigningSetup(reached, warnings)
    private_key = keys.load_private_key(key, passphrase)
    keys.check_pair(private_key, found, key)
    return SigningSetup(KeySigner(private_key, found, digest), warnings)


def find_sign_file() -> str:
    """Return the ``sign-file`` of kernel headers that are here, the running kernel's first.

    Then the newest of the installed and of the fetched ones, as ``tree.kernels`` knows them.
    """
    from lkm.kernels.known import known_kernels

    headers = [Path("/lib/modules", os.uname().release, "build")]
    headers += [kernel.headers for kernel in reversed(known_kernels()) if kernel.headers]
    headers += sorted(Path("/usr/lib").glob("linux-kbuild-*"), reverse=True)
    for folder in headers:
        program = folder / _SIGN_FILE
        if os.access(program, os.X_OK):
            return str(program)
    raise NotFoundError(
        "no kernel headers, whose sign-file a key in a token needs, are here",
        hint="lkm kernels fetch RELEASE --headers, or name a program: --signer PATH",
    )


def sign_modules(
    modules: Sequence[ModuleFile],
    signer: ModuleSigner,
    *,
    out: str | None = None,
    detached: bool = False,
    progress: Progress | None = None,
) -> tuple[Rewritten | FileFailure, ...]:
    """Sign ``modules`` in place or into the directory or file ``out``; answers in their order.

    Packed modules are unpacked, signed and packed again. ``detached`` writes the bare PKCS#7
    message to ``MODULE.p7s`` and leaves the module alone. A file that fails is left as it was.
    """
    _check_out(modules, out)
    work = functools.partial(_sign_one, signer=signer, out=out, detached=detached)
    return tuple(spread(functools.partial(_guarded, work), modules, what="sign", progress=progress))


def strip_modules(
    modules: Sequence[ModuleFile], *, out: str | None = None, progress: Progress | None = None
) -> tuple[Rewritten | FileFailure, ...]:
    """Take the signatures off ``modules``, in place or into ``out``; answers in their order.

    A module without a signature is left alone, and copied where there is an ``out``.
    """
    _check_out(modules, out)
    work = functools.partial(_strip_one, out=out)
    return tuple(
        spread(functools.partial(_guarded, work), modules, what="strip", progress=progress)
    )


def _check_out(modules: Sequence[ModuleFile], out: str | None) -> None:
    if out and len(modules) > 1 and os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"{out} is a file, and there are {len(modules)} modules to write")


def _guarded(
    work: Callable[[ModuleFile], Rewritten], module: ModuleFile
) -> Rewritten | FileFailure:
    try:
        return work(module)
    except (LkmError, OSError) as error:
        return module_files.failure(module.path, error)


def _sign_one(
    module: ModuleFile, *, signer: ModuleSigner, out: str | None, detached: bool
) -> Rewritten:
    data, packed = module_files.read(module.path)
    module_files.check_is_module(data, module.path)
    content = signature.strip(data, module.path)
    blob = signer.sign(content)
    was_signed = len(content) != len(data)
    if detached:
        target = _target(module, out) + ".p7s"
        files.write_atomic(target, blob)
        return Rewritten(module.path, target, len(blob), was_signed)
    target = _target(module, out)
    signed = signature.append(content, blob)
    module_files.write(module.path, target, signed, packed)
    return Rewritten(module.path, target, len(signed), was_signed)


def _strip_one(module: ModuleFile, *, out: str | None) -> Rewritten:
    data, packed = module_files.read(module.path)
    content = signature.strip(data, module.path)
    was_signed = len(content) != len(data)
    target = _target(module, out)
    if was_signed or out:
        module_files.write(module.path, target, content, packed)
    return Rewritten(module.path, target, len(content), was_signed)


def _target(module: ModuleFile, out: str | None) -> str:
    """Return where a module is written: ``out`` is a directory unless it is named like a module."""
    if out is None:
        return module.path
    if not os.path.isdir(out) and ".ko" in os.path.basename(out):
        return out
    target = os.path.join(out, module.relative)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    return target
