"""The commands keys, sign, strip-signature, verify and mok, as one types them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import built


def lkm(*arguments: object, given: dict[str, str] | None = None) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "lkm", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "KBUILD_SIGN_PIN"}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        env={**environment, **(given or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def document(*arguments: object) -> Any:
    status, out, err = lkm(*arguments, "--json")
    assert status in {0, 1}, err
    return json.loads(out)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("key")
    status, out, err = lkm("keys", "new", "--out", folder, "--cn", "An owner", "--days", 30)
    assert (status, err) == (0, "")
    assert f"private key  {folder}/MOK.priv\n" in out
    assert "for          kernel modules only\n" in out
    return folder / "MOK"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "hello.ko"
    shutil.copy(built("hello"), path)
    return path


def sign(module: Path, key: Path, *options: object) -> tuple[int, str, str]:
    return lkm("sign", module, "--key", f"{key}.priv", "--cert", f"{key}.der", *options)


def test_sign_verify_strip(module: Path, key: Path) -> None:
    before = module.read_bytes()
    assert sign(module, key) == (0, f"{module}: signed\n", "")
    status, out, _ = sign(module, key)
    assert out == f"{module}: signed (in place of an older signature)\n"
    status, out, err = lkm("verify", module, "--cert", f"{key}.pem")
    assert (status, err) == (0, "")
    assert out == (f"{module}: valid: signed by “An owner” (rsa, sha256), key {key}.pem\n")
    status, out, _ = lkm("verify", module)
    assert status == 1
    assert ": unknown key: " in out
    assert lkm("strip-signature", module)[:2] == (0, f"{module}: stripped\n")
    assert module.read_bytes() == before
    assert lkm("strip-signature", module)[1] == f"{module}: stripped (it was not signed)\n"
    status, out, _ = lkm("verify", module, "--cert", f"{key}.pem")
    assert (status, out) == (1, f"{module}: not signed: no signature is appended\n")


def test_documents_name_their_schema(module: Path, key: Path) -> None:
    shown = document("keys", "show", f"{key}.der")
    assert shown["schema"] == "lkm.keys/1"
    assert shown["certificates"][0]["name"] == "An owner"
    signed = document("sign", module, "--key", f"{key}.priv", "--cert", f"{key}.der")
    assert signed["modules"][0]["was_signed"] is False
    verified = document("verify", module, "--cert", f"{key}.der")
    assert verified["summary"]["verdicts"] == {"valid": 1}
    assert verified["modules"][0]["signer"] == "An owner"
    assert document("strip-signature", module)["modules"][0]["was_signed"] is True
    assert document("mok", "status")["schema"] == "lkm.mok/1"


def test_a_tree_is_summed_up(module: Path, key: Path) -> None:
    for number in range(20):
        shutil.copy(module, module.with_name(f"m{number}.ko"))
    (module.parent / "bad.ko").write_text("bad")
    status, out, err = sign(module.parent, key)
    assert (status, out) == (1, "21 modules signed, 1 failed\n")
    assert err.startswith(f"lkm: {module.parent}/bad.ko")
    status, out, _ = lkm("verify", module.parent, "--keyring", key.parent)
    assert status == 1
    assert out == "22 modules: 21 valid, 1 unreadable\n  21 signed by “An owner”\n"


def test_failures_are_a_line_and_a_status(module: Path, key: Path, tmp_path: Path) -> None:
    status, out, err = sign(module, key, "--in-place", "--out", tmp_path)
    assert (status, out) == (2, "")
    assert "exclude each other" in err
    status, _, err = sign(tmp_path / "none.ko", key)
    assert (status, err) == (1, f"lkm: {tmp_path}/none.ko: No such file or directory\n")
    status, _, err = lkm("keys", "new", "--out", key.parent)
    assert status == 2
    assert "exists already" in err
    assert "hint: " in err


def test_a_passphrase_by_file_environment_and_prompt(module: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    key = tmp_path / "MOK"
    status, _, err = lkm("keys", "new", "--out", tmp_path, "--passphrase-file", secret)
    assert (status, err) == (0, "")
    assert "ENCRYPTED" in Path(f"{key}.priv").read_text()
    status, _, err = sign(module, key)
    assert status == 1
    assert "the private key is encrypted and no passphrase was given" in err
    arguments = ("sign", module, "--key", f"{key}.priv", "--cert", f"{key}.der")
    assert lkm(*arguments, "--passphrase-file", secret)[0] == 0
    assert lkm(*arguments, given={"KBUILD_SIGN_PIN": "open sesame"})[0] == 0
    status, _, err = lkm(*arguments, given={"KBUILD_SIGN_PIN": "shut"})
    assert (status, err) == (1, f"lkm: {key}.priv: the passphrase is wrong\n")
    assert on_a_terminal(*arguments, typed=b"open sesame\n") == 0
    assert on_a_terminal(*arguments, typed=b"shut\n") == 1


def on_a_terminal(*arguments: object, typed: bytes) -> int:
    command = [sys.executable, "-m", "lkm", *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("KBUILD_SIGN_PIN", None)
        os.execv(sys.executable, command)
    try:
        seen = b""
        while b"Passphrase for" not in seen:
            seen += os.read(terminal, 1024)
        os.write(terminal, typed)
        while os.read(terminal, 1024):
            pass
    except OSError:
        pass  # how a terminal says that its other end has closed
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_enrolling_prints_each_screen(key: Path, tmp_path: Path) -> None:
    efivars = tmp_path / "sys/firmware/efi/efivars"
    efivars.mkdir(parents=True)
    vendor = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    (efivars / f"SecureBoot-{vendor}").write_bytes(b"\6\0\0\0\1")
    (efivars / f"SetupMode-{vendor}").write_bytes(b"\6\0\0\0\0")
    password = tmp_path / "password"
    password.write_text("secret\n")
    where = ("--root", tmp_path, "--password-file", password)
    status, out, err = lkm("mok", "enroll", f"{key}.der", *where)
    assert (status, err) == (0, "")
    assert "  4. “Enroll the key(s)?”: choose “Yes”: Down, Enter\n" in out
    status, out, _ = lkm("mok", "status", "--root", tmp_path)
    assert "Secure Boot       on\n" in out
    assert "to be enrolled at the next boot:\n  An owner (rsa2048, until " in out
    assert lkm("mok", "list", "--root", tmp_path)[1] == "no MOK is enrolled\n"
    status, _, err = lkm("mok", "enroll", f"{key}.der", "--root", tmp_path)
    assert status == 2
    assert "--password-file" in err
