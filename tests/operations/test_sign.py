"""Signing and stripping files and trees, and everything that can be wrong about them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lkm.errors import FormatError, LkmError, NotFoundError, UsageError
from lkm.module import compression, signature
from lkm.module.compression import Compression
from lkm.operations import module_files
from lkm.operations.module_files import FileFailure, ModuleFile
from lkm.operations.trust import sign, verify
from lkm.operations.trust.sign import Rewritten
from lkm.signing import certificate, keyring, keys
from lkm.signing.keys import KeyFiles
from lkm.signing.sign import KeySigner, ModuleSigner
from lkm.signing.verify import SignatureVerdict, Verification
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.signing import run, sign_file


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return keys.save(keys.generate("An owner"), tmp_path_factory.mktemp("key"))


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "hello.ko"
    shutil.copy(built("hello"), path)
    return path


def one(path: Path) -> tuple[ModuleFile, ...]:
    return module_files.find([path])


def signer(key: KeyFiles) -> ModuleSigner:
    return sign.prepare(str(key.private_key), key.der).signer


def verdict(path: Path, key: KeyFiles) -> SignatureVerdict:
    (found,) = verify.verify_modules(one(path), keyring.from_files([key.der]))
    assert isinstance(found, Verification)
    return found.verdict


def test_signed_in_place_and_stripped_again(module: Path, key: KeyFiles) -> None:
    module.chmod(0o640)
    before = module.read_bytes()
    (done,) = sign.sign_modules(one(module), signer(key))
    assert done == Rewritten(str(module), str(module), module.stat().st_size, was_signed=False)
    assert verdict(module, key) is SignatureVerdict.VALID
    assert stat.S_IMODE(module.stat().st_mode) == 0o640
    (done,) = sign.strip_modules(one(module))
    assert isinstance(done, Rewritten)
    assert done.was_signed
    assert module.read_bytes() == before


def test_signing_again_replaces(module: Path, key: KeyFiles) -> None:
    sign.sign_modules(one(module), signer(key))
    once = module.read_bytes()
    (done,) = sign.sign_modules(one(module), signer(key))
    assert isinstance(done, Rewritten)
    assert done.was_signed
    assert module.read_bytes() == once


def test_a_distribution_s_module_stripped_is_what_was_signed(
    kernel: KernelFiles, tmp_path: Path
) -> None:
    path = tmp_path / "loop.ko"
    shutil.copy(kernel.modules / "kernel/drivers/block/loop.ko", path)
    found = signature.read(path.read_bytes())
    assert found is not None
    sign.strip_modules(one(path))
    assert path.stat().st_size == found.content_length
    assert b"Module signature appended" not in path.read_bytes()


@pytest.mark.parametrize("packed", [Compression.GZIP, Compression.XZ, Compression.ZSTD])
def test_packed_modules_stay_packed(module: Path, key: KeyFiles, packed: Compression) -> None:
    path = module.with_suffix(f".ko{packed.suffix}")
    path.write_bytes(compression.compress(module.read_bytes(), packed))
    sign.sign_modules(one(path), signer(key))
    assert compression.detect(path.read_bytes()) is packed
    assert verdict(path, key) is SignatureVerdict.VALID


def test_detached_is_the_message_alone(module: Path, key: KeyFiles) -> None:
    before = module.read_bytes()
    (done,) = sign.sign_modules(one(module), signer(key), detached=True)
    assert isinstance(done, Rewritten)
    assert module.read_bytes() == before
    run(sign.find_sign_file(), "-d", "sha256", key.private_key, key.der, module)
    theirs = Path(f"{module}.p7s").read_bytes()
    sign.sign_modules(one(module), signer(key), detached=True)
    assert Path(f"{module}.p7s").read_bytes() == theirs


def test_sign_file_is_found_among_fetched_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.access(sign.find_sign_file(), os.X_OK)
    cache, release = tmp_path / "lkm/kernels", "99.1.0-amd64"
    build = cache / release / "lib/modules" / release / "build"
    program = build / "scripts/sign-file"
    program.parent.mkdir(parents=True)
    (build / "Makefile").touch()
    program.touch(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert sign.find_sign_file() == str(program)


def test_into_a_directory_keeps_the_tree(module: Path, key: KeyFiles, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a/one.ko", "a/b/two.ko", "README"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, tree / name)
    out = tmp_path / "out"
    done = sign.sign_modules(module_files.find([tree]), signer(key), out=str(out))
    assert [Path(r.target).relative_to(out) for r in done if isinstance(r, Rewritten)] == [
        Path("a/b/two.ko"),
        Path("a/one.ko"),
    ]
    assert (tree / "a/one.ko").read_bytes() == module.read_bytes()
    assert verdict(out / "a/b/two.ko", key) is SignatureVerdict.VALID


def test_a_whole_tree_in_parallel(module: Path, key: KeyFiles, tmp_path: Path) -> None:
    for number in range(150):
        shutil.copy(module, tmp_path / f"m{number}.ko")
    seen: list[tuple[int, int]] = []
    done = sign.sign_modules(
        module_files.find([tmp_path]),
        signer(key),
        progress=lambda _what, count, total: seen.append((count, total)),
    )
    assert all(isinstance(result, Rewritten) for result in done)
    assert [result.path for result in done] == sorted(result.path for result in done)
    assert seen[-1] == (151, 151)
    results = verify.verify_modules(module_files.find([tmp_path]), keyring.from_files([key.der]))
    assert verify.summarise(results).verdicts == {"valid": 151}


def test_a_link_is_followed(module: Path, key: KeyFiles, tmp_path: Path) -> None:
    link = tmp_path / "link.ko"
    link.symlink_to(module)
    sign.sign_modules(one(link), signer(key))
    assert link.is_symlink()
    assert verdict(module, key) is SignatureVerdict.VALID


def test_sign_file_signs_over_ours_and_we_over_its(module: Path, key: KeyFiles) -> None:
    bare = module.read_bytes()
    run(sign.find_sign_file(), "sha256", key.private_key, key.der, module)
    assert verdict(module, key) is SignatureVerdict.VALID
    theirs = module.read_bytes()
    (done,) = sign.sign_modules(one(module), signer(key))
    assert isinstance(done, Rewritten)
    assert done.was_signed
    assert module.read_bytes() == theirs
    sign.strip_modules(one(module))
    assert module.read_bytes() == bare


# What can be wrong


def test_key_and_certificate_must_belong_together(key: KeyFiles, tmp_path: Path) -> None:
    other = keys.save(keys.generate("Another", algorithm="ec-p384"), tmp_path)
    with pytest.raises(LkmError, match="does not belong to the certificate “Another”"):
        sign.prepare(str(key.private_key), other.der)


def test_an_expired_certificate_is_warned_of(tmp_path: Path, module: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=100)
    expired = keys.save(keys.generate("Old", days=10, now=past), tmp_path / "k")
    setup = sign.prepare(str(expired.private_key), expired.der)
    (warning,) = setup.warnings
    assert warning.startswith("the certificate expired on ")
    assert warning.endswith("the kernel does not check this")
    sign.sign_modules(one(module), setup.signer)
    assert verdict(module, expired) is SignatureVerdict.VALID


def test_a_certificate_of_another_use_is_refused_unless_asked(tmp_path: Path) -> None:
    path, key = tmp_path / "web.pem", tmp_path / "web.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key]
    run(*command, "-subj", "/CN=web", "-out", path, "-addext", "extendedKeyUsage=serverAuth")
    with pytest.raises(UsageError, match="is not for signing code") as caught:
        sign.prepare(str(key), path)
    assert "--any-usage" in caught.value.hint
    assert isinstance(sign.prepare(str(key), path, any_usage=True).signer, KeySigner)


def test_an_encrypted_key_without_passphrase(tmp_path: Path) -> None:
    files = keys.save(keys.generate("Locked"), tmp_path, passphrase=b"secret")
    with pytest.raises(keys.PassphraseError):
        sign.prepare(str(files.private_key), files.der)
    sign.prepare(str(files.private_key), files.der, passphrase=b"secret")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected"),
        (b"not a module", "expected"),
        (b"\x7fELF" + bytes(60), "expected"),
        (Path(sys.executable).read_bytes(), "expected a kernel module"),
    ],
    ids=["empty", "text", "broken ELF", "a program"],
)
def test_what_is_no_module_is_left_alone(
    tmp_path: Path, key: KeyFiles, content: bytes, message: str
) -> None:
    path = tmp_path / "file.ko"
    path.write_bytes(content)
    (failed,) = sign.sign_modules(one(path), signer(key))
    assert isinstance(failed, FileFailure)
    assert failed.message.startswith(f"{path}")
    assert message in failed.message
    assert path.read_bytes() == content


def test_a_broken_signature_is_left_alone(module: Path, key: KeyFiles) -> None:
    trailer = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + (1 << 30).to_bytes(4, "big")
    broken = module.read_bytes() + trailer + signature.MARKER
    module.write_bytes(broken)
    for done in (
        *sign.sign_modules(one(module), signer(key)),
        *sign.strip_modules(one(module)),
    ):
        assert isinstance(done, FileFailure)
        assert "a signature of at most" in done.message
    assert module.read_bytes() == broken


def test_one_bad_file_does_not_stop_the_others(module: Path, key: KeyFiles) -> None:
    (module.parent / "bad.ko").write_bytes(b"bad")
    bad, good = sign.sign_modules(module_files.find([module.parent]), signer(key))
    assert isinstance(bad, FileFailure)
    assert isinstance(good, Rewritten)


def test_missing_things_are_named(tmp_path: Path, key: KeyFiles) -> None:
    (failed,) = sign.sign_modules(one(tmp_path / "none.ko"), signer(key))
    assert failed == FileFailure(
        str(tmp_path / "none.ko"), f"{tmp_path / 'none.ko'}: No such file or directory"
    )
    with pytest.raises(NotFoundError, match="no module below"):
        module_files.find([tmp_path])
    with pytest.raises(FileNotFoundError):
        sign.prepare(str(key.private_key), tmp_path / "none.der")
    with pytest.raises(FileNotFoundError):
        sign.prepare(str(tmp_path / "none.priv"), key.der)


def test_endless_files_are_refused(key: KeyFiles) -> None:
    (failed,) = sign.sign_modules((ModuleFile("/dev/zero", "zero"),), signer(key))
    assert isinstance(failed, FileFailure)
    assert "expected a regular file" in failed.message
    with pytest.raises(FormatError):
        sign.prepare("/dev/zero", key.der)
    with pytest.raises(FormatError):
        sign.prepare(str(key.private_key), "/dev/zero")


def test_many_modules_do_not_go_into_one_file(module: Path, key: KeyFiles) -> None:
    shutil.copy(module, module.with_name("other.ko"))
    with pytest.raises(UsageError, match="2 modules to write"):
        sign.sign_modules(
            module_files.find([module.parent]), signer(key), out=str(module.with_name("other.ko"))
        )


# In a mount namespace of its own a file system can be full or read-only, even for root.
FILE_SYSTEM = """
set -e
mkdir -p "$1"
mount -t tmpfs -o "size=$2" none "$1"
cp "$3" "$1/hello.ko"
if [ "$5" = ro ]; then mount -o remount,ro "$1"; fi
set +e
"$6" -m lkm sign "$1/hello.ko" --key "$4.priv" --cert "$4.der"
echo "status $?"
cmp "$1/hello.ko" "$3" && echo untouched
ls -A "$1"
"""


@pytest.mark.parametrize(
    ("size", "access", "why"),
    [("24k", "rw", "No space left on device"), ("1m", "ro", "Read-only file system")],
)
def test_a_target_that_cannot_be_written_is_untouched(
    module: Path, key: KeyFiles, size: str, access: str, why: str
) -> None:
    pages = -(-module.stat().st_size // 4096)
    size = f"{(pages + 2) * 4}k" if access == "rw" else size
    folder = module.parent / "mounted"
    arguments = [folder, size, module, key.der.with_suffix(""), access, sys.executable]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FILE_SYSTEM, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout == "status 1\nuntouched\nhello.ko\n", done
    assert f"{folder}/hello.ko" in done.stderr
    assert why in done.stderr


def test_a_key_in_a_token_is_reached_through_sign_file(
    module: Path, key: KeyFiles, tmp_path: Path, kernel: KernelFiles
) -> None:
    """Any program of sign-file's interface is called; here the real one behind a URI."""
    program = tmp_path / "sign-file"
    program.write_text(
        f'#!/bin/sh\ncase "$3" in pkcs11:*) ;; *) exit 3;; esac\n'
        f'exec {sign_file(kernel)} "$1" "$2" {key.private_key} "$4" "$5"\n'
    )
    program.chmod(0o755)
    setup = sign.prepare("pkcs11:object=mok", key.der, program=str(program))
    sign.sign_modules(one(module), setup.signer)
    assert verdict(module, key) is SignatureVerdict.VALID
    assert module.read_bytes() == signature.append(
        built("hello").read_bytes(),
        KeySigner(keys.load_private_key(key.private_key), certificate.load(key.der)).sign(
            built("hello").read_bytes()
        ),
    )


def test_what_sign_file_says_is_shown(module: Path, key: KeyFiles) -> None:
    before = module.read_bytes()
    setup = sign.prepare("pkcs11:object=none", key.der, program=sign.find_sign_file())
    (failed,) = sign.sign_modules(one(module), setup.signer)
    assert isinstance(failed, FileFailure)
    assert "sign-file failed" in failed.message
    assert "-dp sha256 pkcs11:object=none" in failed.message
    assert module.read_bytes() == before


@pytest.mark.full
def test_a_key_in_a_real_token(
    module: Path, key: KeyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SoftHSM keeps the key, openssl reaches it through its PKCS#11 engine."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    settings = tmp_path / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    monkeypatch.setenv("KBUILD_SIGN_PIN", "1234")
    pin = ("--pin", "1234")
    run("softhsm2-util", "--init-token", "--free", "--label", "t", "--so-pin", "1234", *pin)
    import_key = ("softhsm2-util", "--import", key.private_key, "--token", "t", "--label", "mok")
    run(*import_key, "--id", "01", *pin)
    setup = sign.prepare("pkcs11:token=t;object=mok", key.der, program="openssl")
    sign.sign_modules(one(module), setup.signer)
    by_token = module.read_bytes()
    sign.sign_modules(one(module), signer(key))
    assert module.read_bytes() == by_token
    wrong = sign.prepare("pkcs11:token=none;object=mok", key.der, program="openssl")
    (failed,) = sign.sign_modules(one(module), wrong.signer)
    assert isinstance(failed, FileFailure)
    assert "openssl failed: " in failed.message
    assert module.read_bytes() == by_token
