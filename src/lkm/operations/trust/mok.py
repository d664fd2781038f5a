"""Whom this machine trusts, and Machine Owner Keys enrolled and deleted through mokutil."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lkm.errors import ToolError, UnsupportedError, UsageError
from lkm.operations.trust.keys import CertificateFacts, facts
from lkm.signing import certificate, mokmanager, trust_state
from lkm.signing.certificate import Certificate
from lkm.signing.mokmanager import MokScreen
from lkm.signing.trust_state import EnrolledKey, ReadFile, Switches, TrustState
from lkm.signing.verify import Answer, SignatureVerdict, answer

_EFIVARS = "sys/firmware/efi/efivars"


@dataclass(frozen=True, slots=True)
class Key:
    """A certificate in a firmware variable."""

    variable: str
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True)
class Status(Switches):
    """The enforcement and the trusted keys of a machine, and the advice that follows.

    ``unsigned`` and ``unknown_key`` are the kernel's answers to such modules.
    """

    enforcement: str | None
    unsigned: Answer | None
    unknown_key: Answer | None
    enrolled: tuple[Key, ...]
    pending: tuple[Key, ...]
    pending_deletion: tuple[Key, ...]
    firmware_keys: tuple[Key, ...]
    keyrings: dict[str, int]
    kernel_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A request to MokManager: the certificate, and the screens of the next boot.

    ``screens`` is empty when there is nothing to do, which ``already`` then says.
    """

    certificate: CertificateFacts
    screens: tuple[MokScreen, ...]
    already: str = ""


def status(root: str = "/") -> Status:
    """Return the state of this machine, or of a saved copy of its /sys and /proc below ``root``."""
    return status_of(trust_state.directory_reader(root))


def status_of(read_file: ReadFile) -> Status:
    """Return the state of the machine whose files ``read_file`` returns."""
    state = trust_state.read(read_file)
    enforced = state.enforcement
    return Status(
        **{field.name: getattr(state, field.name) for field in fields(Switches)},
        enforcement=enforced.value if enforced else None,
        unsigned=answer(SignatureVerdict.UNSIGNED, enforced) if enforced else None,
        unknown_key=answer(SignatureVerdict.UNKNOWN_KEY, enforced) if enforced else None,
        enrolled=_keys(state.enrolled),
        pending=_keys(state.pending),
        pending_deletion=_keys(state.pending_deletion),
        firmware_keys=_keys(state.firmware_keys),
        keyrings={ring.name: ring.count for ring in state.kernel_keys.keyrings},
        kernel_keys=tuple(f"{key.name}: {key.key_id}" for key in state.kernel_keys.keys),
    )


def _keys(enrolled: Sequence[EnrolledKey]) -> tuple[Key, ...]:
    return tuple(Key(key.variable, facts(key.certificate)) for key in enrolled)


def enroll(path: str | os.PathLike[str], password: str, *, root: str = "/") -> EnrolmentRequest:
    """Ask MokManager, through mokutil, to enrol the certificate in a file at the next boot."""
    found = certificate.load(path)
    state = _firmware_state(root)
    if state.is_enrolled(found):
        return EnrolmentRequest(facts(found), (), "it is enrolled already")
    _mokutil("--import", found, password, root)
    return EnrolmentRequest(facts(found), mokmanager.enrolment())


def delete(path: str | os.PathLike[str], password: str, *, root: str = "/") -> EnrolmentRequest:
    """Ask MokManager, through mokutil, to delete the certificate in a file at the next boot."""
    found = certificate.load(path)
    state = _firmware_state(root)
    if not state.is_enrolled(found):
        return EnrolmentRequest(facts(found), (), "it is not enrolled")
    _mokutil("--delete", found, password, root)
    return EnrolmentRequest(facts(found), mokmanager.deletion())


def _firmware_state(root: str) -> TrustState:
    if not Path(root, _EFIVARS).is_dir():
        raise UnsupportedError(
            "this machine has no EFI variables, in which MOKs are kept",
            hint="it was not booted through EFI, or efivarfs is not mounted",
        )
    return trust_state.read(trust_state.directory_reader(root))


def _mokutil(option: str, wanted: Certificate, password: str, root: str) -> None:
    if not 1 <= len(password) <= 256 or not password.isascii() or "\n" in password:
        raise UsageError("a MOK password has 1 to 256 characters that any keyboard types (ASCII)")
    environment = dict(os.environ)
    if root != "/":
        environment["EFIVARFS_PATH"] = os.path.join(os.path.abspath(root), _EFIVARS, "")
    with tempfile.NamedTemporaryFile(suffix=".der") as file:
        file.write(wanted.encoded)
        file.flush()
        command = ["mokutil", option, file.name]
        done = _run(command, f"{password}\n{password}\n", environment)
    if done.returncode:
        raise ToolError(
            f"mokutil failed: {done.stderr.strip() or done.stdout.strip()}",
            command=command,
            returncode=done.returncode,
            hint="it needs root and a writable efivarfs",
        )


def _run(
    command: list[str], given: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=given, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise ToolError(
            "mokutil is not installed", command=command, hint="apt-get install mokutil"
        ) from None
