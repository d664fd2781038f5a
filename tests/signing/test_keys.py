"""Keys made, saved, loaded; and everything that can be wrong with a key file."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lkm.errors import FormatError, LkmError, UnsupportedError, UsageError
from lkm.signing import certificate, keys
from tests.support.signing import Workshop, run


def openssl(*arguments: object) -> str:
    return run("openssl", *arguments)


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_a_new_key_is_what_it_says(tmp_path: Path, algorithm: str) -> None:
    now = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    pair = keys.generate("My key", algorithm=algorithm, days=10, now=now)
    files = keys.save(pair, tmp_path / "new")
    assert stat.S_IMODE(files.private_key.stat().st_mode) == 0o600
    text = openssl("x509", "-in", files.pem, "-noout", "-text")
    assert "Not Before: Jan  2 03:04:05 2030 GMT" in text
    assert "Not After : Jan 12 03:04:05 2030 GMT" in text
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE" in text
    assert "X509v3 Key Usage: critical\n                Digital Signature" in text
    assert "Code Signing, 1.3.6.1.4.1.2312.16.1.2" in text
    assert "X509v3 Subject Key Identifier" in text
    assert pair.certificate.algorithm == algorithm
    assert certificate.load(files.der) == certificate.load(files.pem) == pair.certificate
    public = openssl("pkey", "-in", files.private_key, "-pubout")
    assert public == openssl("x509", "-in", files.pem, "-noout", "-pubkey")
    keys.check_pair(keys.load_private_key(files.private_key), pair.certificate)


def test_a_key_is_not_replaced_unasked(tmp_path: Path) -> None:
    pair = keys.generate("one", algorithm="ec-p384")
    files = keys.save(pair, tmp_path)
    before = files.private_key.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        keys.save(pair, tmp_path)
    assert files.private_key.read_bytes() == before
    assert keys.save(keys.generate("two", algorithm="ec-p384"), tmp_path, replace=True) == files
    assert files.private_key.read_bytes() != before


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    pair = keys.generate("secret", algorithm="ec-p384")
    path = keys.save(pair, tmp_path, passphrase=b"open sesame").private_key
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
    keys.check_pair(keys.load_private_key(path, b"open sesame"), pair.certificate)
    with pytest.raises(keys.PassphraseError, match="no passphrase was given") as caught:
        keys.load_private_key(path)
    assert "--passphrase-file" in caught.value.hint
    with pytest.raises(keys.PassphraseError, match="the passphrase is wrong"):
        keys.load_private_key(path, b"shut")


def test_a_passphrase_for_an_open_key_is_not_minded(shop: Workshop) -> None:
    mok = certificate.load(shop.mok.der)
    keys.check_pair(keys.load_private_key(shop.mok.private_key, b"not needed"), mok)


def test_a_key_beside_its_certificate_and_a_der_key_are_read(
    shop: Workshop, tmp_path: Path
) -> None:
    both = tmp_path / "signing_key.pem"
    both.write_bytes(shop.mok.pem.read_bytes() + shop.mok.private_key.read_bytes())
    binary = tmp_path / "key.der"
    openssl("pkey", "-in", shop.mok.private_key, "-outform", "DER", "-out", binary)
    for path in (both, binary):
        keys.check_pair(keys.load_private_key(path), certificate.load(shop.mok.der))
    assert certificate.load(both) == certificate.load(shop.mok.der)


def test_another_key_s_certificate_is_refused(shop: Workshop) -> None:
    private = keys.load_private_key(shop.mok.private_key)
    with pytest.raises(LkmError, match=r"does not belong to the certificate “lkm test stranger”"):
        keys.check_pair(private, certificate.load(shop.stranger.der), "mok.priv")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nxx\n"])
def test_no_key_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"expected a private key \(PEM or DER\)"):
        keys.load_private_key(path)


def test_a_certificate_is_no_private_key(shop: Workshop) -> None:
    for path in (shop.mok.pem, shop.mok.der):
        with pytest.raises(FormatError, match="expected a private key"):
            keys.load_private_key(path)


def test_a_kind_of_key_no_kernel_takes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ed"
    openssl("genpkey", "-algorithm", "ed25519", "-out", path)
    with pytest.raises(UnsupportedError, match="does not take Ed25519 signatures"):
        keys.load_private_key(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", {}),
        ("x" * 65, {}),
        ("x", {"days": 0}),
        ("x", {"days": 10**7}),
        ("x", {"algorithm": "dsa"}),
    ],
)
def test_impossible_wishes_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        keys.generate(name, **options)  # type: ignore[arg-type]
