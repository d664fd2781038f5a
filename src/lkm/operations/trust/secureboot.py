"""Rehearse on a virtual machine what Secure Boot will say to a module on a real one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm import files, taint
from lkm.errors import KernelError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest, medium, secure_boot
from lkm.kernel.vm.profile import Profile
from lkm.kernel.vm.snapshot import Progress
from lkm.kernels.choose import choose_bootable
from lkm.kernels.known import KnownKernel
from lkm.module import signature
from lkm.module.image import ModuleImage
from lkm.operations.trust import mok_enrolment
from lkm.signing import certificate, keys, sign, trust_state, variable_store, verify
from lkm.signing.certificate import Certificate
from lkm.signing.keyring import Keyring, TrustedKey
from lkm.signing.sign import KeySigner
from lkm.signing.verify import Enforcement, SignatureVerdict

PROFILES = {
    "none": (Enforcement.NONE, ""),
    "sig_enforce": (Enforcement.SIGNATURES, "module.sig_enforce=1"),
    "lockdown": (Enforcement.LOCKDOWN, "lockdown=integrity"),
}
"""How a kernel without Secure Boot can be made as strict: its command line."""


_SIGNATURE_ERRORS = (errno.EKEYREJECTED, errno.EPERM, errno.EBADMSG, errno.ENOPKG)


@dataclass(frozen=True, slots=True)
class RehearsalStep:
    """One step of a rehearsal: what was done, whether it went as it must, what the kernel said.

    ``errno`` is the kernel's answer to a load, 0 when it loaded, ``None`` for other steps.
    """

    what: str
    ok: bool
    said: tuple[str, ...] = ()
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class RehearsedLoad:
    """The load to rehearse: the module unsigned and signed, the key, the modules it needs first."""

    name: str
    unsigned: bytes
    signed: bytes
    certificate: Certificate
    needed: tuple[Path, ...]


def prepare(
    module: str | os.PathLike[str],
    *,
    release: str = "",
    mok: str | None = None,
    key: str | None = None,
    passphrase: bytes | None = None,
) -> tuple[RehearsedLoad, KnownKernel]:
    """Return what to rehearse with a module file, and the kernel to do it with.

    The kernel is ``release``, else the one the module was built for. The module is signed with
    ``key`` and its certificate ``mok``; with ``mok`` alone it must be signed already; without
    both with a key kept for rehearsals.
    """
    image = ModuleImage.open(module)
    data = image.payload
    built_for = image.vermagic.release if image.vermagic else ""
    kernel = choose_bootable(release or built_for)
    owner = certificate.load(mok) if mok else None
    if key and not owner:
        raise UsageError("--key needs its certificate", hint="give it with --mok CERT")
    signed = _signed(data, owner, key, passphrase)
    if owner is None:
        owner = rehearsal_key().certificate
        signed = sign.signed(data, rehearsal_key(), os.fspath(module))
    needed = guest.module_closure(kernel.modules, image.depends) if kernel.modules else []
    trial = RehearsedLoad(image.name, signature.strip(data), signed, owner, tuple(needed))
    image.close()
    return trial, kernel


def _signed(
    data: bytes, owner: Certificate | None, key: str | None, passphrase: bytes | None
) -> bytes:
    if owner is None:
        return data
    if key:
        private_key = keys.load_private_key(key, passphrase)
        keys.check_pair(private_key, owner, key)
        return sign.signed(data, KeySigner(private_key, owner))
    ring = Keyring([TrustedKey(owner, "--mok")])
    if verify.verify(data, ring).verdict is not SignatureVerdict.VALID:
        raise UsageError(
            f"the module is not signed with the key of “{owner.name}”",
            hint="sign it first (lkm sign), or give the private key too: --key KEY",
        )
    return data


def rehearsal_key() -> KeySigner:
    """Return the key kept in the cache: the same every time, so that snapshots serve again."""
    folder = files.cache_directory("secureboot")
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes must not write halves of two keys
        if not all((folder / name).exists() for name in ("MOK.priv", "MOK.der")):
            keys.save(keys.generate("lkm rehearsal key"), folder, replace=True)
        private_key = keys.load_private_key(folder / "MOK.priv")
        return KeySigner(private_key, certificate.load(folder / "MOK.der"))


def rehearse(
    trial: RehearsedLoad,
    kernel: KnownKernel,
    *,
    mokmanager: bool = False,
    progress: Progress | None = None,
) -> Iterator[RehearsalStep]:
    """Go through the whole of it and yield each step when it is done.

    Boots the distribution's signed kernel through shim and GRUB, tries the module unsigned and
    signed before its key is enrolled, enrols the key (into the variable store, or with
    ``mokmanager`` through its real screens), boots again, loads it, and tries it changed.
    """
    profile = secure_boot.profile_of(kernel)
    with Kernel(secure_boot.open_machine(profile, progress)) as machine:
        yield _boot_step(machine, f"{kernel.release} boots through shim and GRUB")
        yield from _needed(machine, trial)
        yield _load_step(machine, trial.unsigned, "the module unsigned", SignatureVerdict.UNSIGNED)
        yield RehearsalStep(f"it is signed with the key of “{trial.certificate.name}”", ok=True)
        yield _load_step(
            machine, trial.signed, "signed, its key not enrolled", SignatureVerdict.UNKNOWN_KEY
        )
    if mokmanager:
        yield from _with_mokmanager(trial, profile)
        return
    store = variable_store.with_mok(_variables(profile), trial.certificate)
    yield RehearsalStep("the key is enrolled: put into the firmware's MokList", ok=True)
    enrolled = secure_boot.profile_of(kernel, store)
    with Kernel(secure_boot.open_machine(enrolled, progress)) as machine:
        yield from _after_enrolment(machine, trial)


def rehearse_profile(
    trial: RehearsedLoad, kernel: KnownKernel, where: str, profile: str
) -> Iterator[RehearsalStep]:
    """Try the module unsigned and signed on a kernel made strict by its command line.

    ``where`` is ``vm`` or ``emulated``, ``profile`` one of ``PROFILES``. No key can be enrolled
    there, so that the signed module is one of an unknown key.
    """
    if profile not in PROFILES:
        raise UsageError(f"{profile}: not one of {', '.join(PROFILES)}")
    enforcement, command_line = PROFILES[profile]
    with open_kernel(f"{where}:{kernel.release}", command_line=command_line) as machine:
        said = (f"command line: {machine.command_line}",)
        yield RehearsalStep(f"{kernel.release} boots ({machine.name})", ok=True, said=said)
        yield from _needed(machine, trial)
        for data, what, verdict in (
            (trial.unsigned, "the module unsigned", SignatureVerdict.UNSIGNED),
            (trial.signed, "signed with a key it does not know", SignatureVerdict.UNKNOWN_KEY),
        ):
            if _is_unloaded(machine, trial.name):
                yield _load_step(machine, data, what, verdict, enforcement)


def _variables(profile: Profile) -> bytes:
    assert profile.firmware is not None
    return profile.firmware.variables


def _with_mokmanager(trial: RehearsedLoad, profile: Profile) -> Iterator[RehearsalStep]:
    with medium.in_memory(_variables(profile)) as store:
        with Kernel(secure_boot.boot_machine(profile, store)) as machine:
            screens = mok_enrolment.ask(machine, profile.modules, trial.certificate)
        yield RehearsalStep("mokutil asks for the key to be enrolled; reboot", ok=True)
        for screen in secure_boot.walk_through(profile, store, screens):
            yield RehearsalStep(f"MokManager: “{screen.text}”: {screen.action}", ok=True)
        left = variable_store.mok_list(os.pread(store, len(_variables(profile)), 0))
        there = any(entry.data == trial.certificate.encoded for entry in left)
        yield RehearsalStep("the key is in the firmware's MokList", ok=there)
        with Kernel(secure_boot.boot_machine(profile, store)) as machine:
            yield from _after_enrolment(machine, trial)


def _after_enrolment(machine: Kernel, trial: RehearsedLoad) -> Iterator[RehearsalStep]:
    yield _boot_step(machine, "it boots again", trial.certificate)
    yield from _needed(machine, trial)
    yield _final_load(machine, trial)
    if _is_unloaded(machine, trial.name):
        changed = bytearray(trial.signed)
        changed[len(trial.unsigned) // 2] ^= 1
        yield _load_step(
            machine, bytes(changed), "a bit changed after signing", SignatureVerdict.TAMPERED
        )


def _is_unloaded(machine: Kernel, name: str) -> bool:
    """Unload the module if it is loaded; say whether it is gone, as one without exit is not."""
    if machine.is_loaded(name):
        with contextlib.suppress(KernelError):
            machine.unload(name)
    return not machine.is_loaded(name)


def _boot_step(machine: Kernel, what: str, owner: Certificate | None = None) -> RehearsalStep:
    state = trust_state.read(machine.read_file)
    said = [
        f"Secure Boot {'on' if state.secure_boot else 'off'},"
        f" sig_enforce {'on' if state.sig_enforce else 'off'}, lockdown {state.lockdown}"
    ]
    ok = bool(state.secure_boot and state.sig_enforce)
    if owner is not None:
        known = [key for key in state.kernel_keys.keys if key.key_id == owner.key_id.hex()]
        ok = ok and state.is_enrolled(owner) and bool(known)
        said += [f"the kernel holds the key: {key.name}: {key.key_id}" for key in known]
    return RehearsalStep(what, ok, tuple(said))


def _needed(machine: Kernel, trial: RehearsedLoad) -> Iterator[RehearsalStep]:
    for path in trial.needed:
        if machine.is_loaded(ModuleImage.open(path).name):
            continue
        try:
            machine.load(path)
        except KernelError as error:
            what = f"{path.name}, which it needs, does not load: {os.strerror(error.errno)}"
            yield RehearsalStep(what, ok=False, said=error.log, errno=error.errno)


def _load_step(
    machine: Kernel,
    data: bytes,
    what: str,
    verdict: SignatureVerdict,
    enforcement: Enforcement = Enforcement.SIGNATURES,
) -> RehearsalStep:
    """Load what should be answered as predicted for ``verdict``."""
    predicted = verify.answer(verdict, enforcement)
    with machine.watch_log() as watch:
        try:
            machine.load(data)
        except KernelError as error:
            refused = f"{what}: refused, {os.strerror(error.errno)}"
            ok = error.errno == predicted.errno
            return RehearsalStep(refused, ok, error.log, error.errno)
        lines = tuple(record.text for record in watch.new_records())
    return RehearsalStep(f"{what}: loads", predicted.errno == 0, lines, 0)


def _final_load(machine: Kernel, trial: RehearsedLoad) -> RehearsalStep:
    with machine.watch_log() as watch:
        try:
            loaded = machine.load(trial.signed)
        except KernelError as error:
            judged = "refused" if error.errno in _SIGNATURE_ERRORS else "taken, but its init fails"
            what = f"signed, its key enrolled: {judged}: {os.strerror(error.errno)}"
            return RehearsalStep(what, ok=False, said=error.log, errno=error.errno)
        lines = tuple(record.text for record in watch.new_records())
    flags = taint.from_letters(loaded.taints)
    tainted = f"taint {loaded.taints} ({', '.join(flag.meaning for flag in flags)})"
    what = f"signed, its key enrolled: loads, {tainted if flags else 'no taint'}"
    return RehearsalStep(what, "E" not in loaded.taints, lines, 0)
