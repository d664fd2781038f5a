"""The state of a machine, read from a saved copy of its files."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.signing import certificate, efi, trust_state
from lkm.signing.trust_state import TrustState
from lkm.signing.verify import Enforcement
from tests.support.efi import encode_lists
from tests.support.signing import Workshop

EFI = "sys/firmware/efi"
ATTRIBUTES = b"\6\0\0\0"


def state(root: Path) -> TrustState:
    return trust_state.read(trust_state.directory_reader(root))


def put(root: Path, path: str, content: bytes | str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)


def put_variable(root: Path, name: str, vendor: uuid.UUID, value: bytes) -> None:
    put(root, f"{EFI}/efivars/{efi.variable_name(name, vendor)}", ATTRIBUTES + value)


def listed(*encoded: bytes) -> bytes:
    return encode_lists(efi.EfiSignature(efi.X509, efi.SHIM, one) for one in encoded)


def test_a_machine_without_efi(tmp_path: Path) -> None:
    found = state(tmp_path)
    assert (found.efi, found.secure_boot, found.shim_validates) == (False, None, None)
    assert found.enforcement is None
    assert found.enrolled == ()


def test_a_machine_with_secure_boot(tmp_path: Path, shop: Workshop) -> None:
    put_variable(tmp_path, "SecureBoot", efi.GLOBAL, b"\1")
    put_variable(tmp_path, "SetupMode", efi.GLOBAL, b"\0")
    put_variable(tmp_path, "MokListRT", efi.SHIM, listed(b"not a certificate"))
    put(tmp_path, f"{EFI}/mok-variables/MokListRT", listed(shop.mok.der.read_bytes()))
    put(tmp_path, f"{EFI}/mok-variables/MokListTrustedRT", b"\1")
    put_variable(tmp_path, "MokNew", efi.SHIM, listed(shop.stranger.der.read_bytes()))
    put(tmp_path, "sys/module/module/parameters/sig_enforce", "Y\n")
    put(tmp_path, "sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    put(tmp_path, "proc/sys/kernel/modules_disabled", "0\n")
    found = state(tmp_path)
    assert (found.efi, found.secure_boot, found.setup_mode) == (True, True, False)
    assert (found.shim_validates, found.trusted_for_modules) == (True, True)
    assert (found.sig_enforce, found.lockdown, found.modules_disabled) == (True, "integrity", False)
    assert found.enforcement is Enforcement.SIGNATURES
    assert [key.certificate.name for key in found.enrolled] == ["lkm test mok"]
    assert [key.certificate.name for key in found.pending] == ["lkm test stranger"]
    assert found.is_enrolled(certificate.load(shop.mok.pem))
    assert not found.is_enrolled(certificate.load(shop.stranger.pem))


@pytest.mark.parametrize(
    ("sig_enforce", "lockdown", "enforcement"),
    [
        ("N", "[none] integrity confidentiality", Enforcement.NONE),
        ("N", "none [integrity] confidentiality", Enforcement.LOCKDOWN),
        ("N", "none integrity [confidentiality]", Enforcement.LOCKDOWN),
        ("Y", "[none] integrity confidentiality", Enforcement.SIGNATURES),
    ],
)
def test_what_is_enforced(
    tmp_path: Path, sig_enforce: str, lockdown: str, enforcement: Enforcement
) -> None:
    put(tmp_path, "sys/module/module/parameters/sig_enforce", sig_enforce)
    put(tmp_path, "sys/kernel/security/lockdown", lockdown)
    assert state(tmp_path).enforcement is enforcement


def test_validation_switched_off_in_shim(tmp_path: Path) -> None:
    put_variable(tmp_path, "SecureBoot", efi.GLOBAL, b"\1")
    put_variable(tmp_path, "MokSBStateRT", efi.SHIM, b"\1")
    assert state(tmp_path).shim_validates is False


def test_a_damaged_variable_is_named(tmp_path: Path) -> None:
    put_variable(tmp_path, "MokListRT", efi.SHIM, b"damaged")
    with pytest.raises(FormatError, match="MokListRT"):
        state(tmp_path)


def test_a_file_that_may_not_be_read_is_an_error() -> None:
    def forbidden(path: str) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with pytest.raises(PermissionError):
        trust_state.read(forbidden)
