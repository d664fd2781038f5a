"""On a machine whose DKMS has a key, that key is the one to enrol: nobody needs another."""

from pathlib import Path

import pytest

from lkm.build import dkms_key
from lkm.doctor.causes import signature


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mok.pub"
    monkeypatch.setattr(dkms_key, "PLACES", ((str(tmp_path / "mok.key"), str(path)),))
    return path


def test_without_a_key_of_dkms_one_is_made(certificate: Path) -> None:
    [fix] = signature.rejected("unavailable", "hello").fixes
    assert any("lkm keys new" in command for command in fix.commands)


def test_the_key_dkms_has_is_enrolled(certificate: Path) -> None:
    certificate.write_bytes(b"")
    wanted = f"sudo mokutil --import {certificate}"
    installed = "/lib/modules/6.1/updates/dkms/hello.ko"
    for finding in (
        signature.rejected("unavailable", "hello", installed),
        signature.key_missing("hello"),
    ):
        assert [fix.commands for fix in finding.fixes] == [(wanted,)]
    [fix] = signature.rejected("unsigned", "own", "/home/me/own.ko").fixes
    assert fix.commands[0].startswith("sudo lkm sign /home/me/own.ko --key ")
    assert fix.commands[1] == wanted
