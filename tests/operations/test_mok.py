"""MOKs enrolled and deleted by the real mokutil, in a saved copy of efivars."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lkm.errors import ToolError, UnsupportedError, UsageError
from lkm.operations.trust import mok
from lkm.signing import certificate, efi, keys
from lkm.signing.keys import KeyFiles
from tests.support.efi import encode_lists

EFIVARS = "sys/firmware/efi/efivars"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return keys.save(keys.generate("An owner"), tmp_path_factory.mktemp("key"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / EFIVARS
    folder.mkdir(parents=True)
    for name, value in (("SecureBoot", 1), ("SetupMode", 0)):
        (folder / efi.variable_name(name, efi.GLOBAL)).write_bytes(bytes([6, 0, 0, 0, value]))
    return tmp_path


def variable(root: Path, name: str) -> Path:
    return root / EFIVARS / efi.variable_name(name, efi.SHIM)


def mokutil(root: Path, *options: str) -> str:
    environment = {**os.environ, "EFIVARFS_PATH": f"{root / EFIVARS}/"}
    command = ["mokutil", *options]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_enrolling_is_noted_for_the_next_boot(root: Path, key: KeyFiles) -> None:
    request = mok.enroll(key.pem, "secret", root=str(root))
    assert not request.already
    assert [screen.text for screen in request.screens][3] == "Enroll the key(s)?"
    (pending,) = mok.status(str(root)).pending
    assert pending.certificate.name == "An owner"
    assert request.certificate == pending.certificate
    assert pending.certificate.sha1 in mokutil(root, "--list-new").replace(":", "")
    assert variable(root, "MokAuth").exists()


def test_what_is_enrolled_is_not_asked_for_again(root: Path, key: KeyFiles) -> None:
    mok.enroll(key.der, "secret", root=str(root))
    variable(root, "MokNew").rename(variable(root, "MokListRT"))
    assert mok.enroll(key.der, "secret", root=str(root)).already == "it is enrolled already"
    assert not variable(root, "MokNew").exists()
    (enrolled,) = mok.status(str(root)).enrolled
    assert enrolled.certificate.sha1 in mokutil(root, "--list-enrolled").replace(":", "")


def test_deleting_takes_an_enrolled_key(root: Path, key: KeyFiles) -> None:
    assert mok.delete(key.der, "secret", root=str(root)).already == "it is not enrolled"
    encoded = certificate.load(key.der).encoded
    lists = encode_lists([efi.EfiSignature(efi.X509, efi.SHIM, encoded)])
    variable(root, "MokListRT").write_bytes(b"\6\0\0\0" + lists)
    variable(root, "MokList").write_bytes(b"\6\0\0\0" + lists)
    request = mok.delete(key.der, "secret", root=str(root))
    assert request.screens[1].action.startswith("choose “Delete MOK”")
    (doomed,) = mok.status(str(root)).pending_deletion
    assert doomed.certificate.name == "An owner"


def test_a_machine_without_efi_variables_is_told(tmp_path: Path, key: KeyFiles) -> None:
    with pytest.raises(UnsupportedError, match="no EFI variables"):
        mok.enroll(key.der, "secret", root=str(tmp_path))


@pytest.mark.parametrize("password", ["", "x" * 257, "schlüssel", "two\nlines"])
def test_passwords_that_cannot_be_typed_are_refused(
    root: Path, key: KeyFiles, password: str
) -> None:
    with pytest.raises(UsageError, match="1 to 256 characters"):
        mok.enroll(key.der, password, root=str(root))
    assert not variable(root, "MokNew").exists()


def test_mokutil_s_refusal_is_shown(root: Path, key: KeyFiles) -> None:
    variable(root, "MokAuth").mkdir()
    with pytest.raises(ToolError, match=r"mokutil failed: .+: mokutil --import") as caught:
        mok.enroll(key.der, "secret", root=str(root))
    assert caught.value.returncode
