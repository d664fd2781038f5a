"""Certificates, read as openssl reads them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.signing import certificate, keys
from tests.support.signing import Workshop, run

USAGES = {
    "modules only": ("extendedKeyUsage=codeSigning,1.3.6.1.4.1.2312.16.1.2", True, False),
    "code": ("extendedKeyUsage=codeSigning", True, True),
    "web server": ("extendedKeyUsage=serverAuth", False, True),
    "authority": ("keyUsage=keyCertSign", False, True),
    "anything": ("nsComment=nothing", True, True),
}


def made_by_openssl(folder: Path, *options: str, key: str = "rsa:2048") -> Path:
    path = folder / "made.pem"
    command = ["openssl", "req", "-x509", "-newkey", key, "-nodes", "-keyout", folder / "made.key"]
    run(*command, "-subj", "/O=Somebody/CN=Käthe", "-utf8", "-out", path, *options)
    return path


def field(path: Path, *options: str) -> str:
    text = run("openssl", "x509", "-in", path, "-noout", *options)
    return text.strip().partition("=")[2].replace(":", "").lower()


@pytest.mark.parametrize(("key", "algorithm"), [("rsa:2048", "rsa2048"), ("rsa:3072", "rsa3072")])
def test_facts_are_openssl_s(tmp_path: Path, key: str, algorithm: str) -> None:
    path = made_by_openssl(tmp_path, "-days", "30", key=key)
    found = certificate.load(path)
    assert found.name == "Käthe"
    assert found.algorithm == algorithm
    assert found.serial.hex().lstrip("0") == field(path, "-serial").lstrip("0")
    assert found.sha1 == field(path, "-fingerprint", "-sha1")
    assert found.sha256 == field(path, "-fingerprint", "-sha256")
    assert found.authority  # openssl req makes it one by default
    assert field(path, "-enddate") == f"{found.not_after:%b %e %H%M%S %Y} gmt".lower()


@pytest.mark.parametrize(("extension", "modules", "boot"), USAGES.values(), ids=USAGES)
def test_usages_decide(tmp_path: Path, extension: str, modules: bool, boot: bool) -> None:
    found = certificate.load(made_by_openssl(tmp_path, "-addext", extension))
    assert (found.may_sign_modules, found.may_sign_boot) == (modules, boot)


@pytest.mark.parametrize(
    ("curve", "name"),
    [("prime256v1", "ec-p256"), ("secp384r1", "ec-p384"), ("secp521r1", "ec-p521")],
)
def test_curves_are_named(tmp_path: Path, curve: str, name: str) -> None:
    path = made_by_openssl(tmp_path, "-pkeyopt", f"ec_paramgen_curve:{curve}", key="ec")
    assert certificate.load(path).algorithm == name


def test_der_pem_and_bundles_are_read(shop: Workshop, tmp_path: Path) -> None:
    mok, stranger = certificate.load(shop.mok.der), certificate.load(shop.stranger.der)
    assert certificate.load(shop.mok.pem) == mok
    assert mok.to_pem() == shop.mok.pem.read_bytes()
    bundle = tmp_path / "bundle"
    bundle.write_bytes(shop.mok.pem.read_bytes() + b"a comment\n" + shop.stranger.pem.read_bytes())
    assert certificate.load_all(bundle) == (mok, stranger)
    bundle.write_bytes(mok.encoded + stranger.encoded)
    assert certificate.load_all(bundle) == (mok, stranger)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"hello", "something else"),
        (b"\x30\x03\x02\x01\x01", "INTEGER"),
        (b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----", "base64"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=found):
        certificate.load(path)


def test_a_private_key_is_not_taken_for_a_certificate(shop: Workshop) -> None:
    with pytest.raises(FormatError, match="found a private key"):
        certificate.load(shop.mok.private_key)


def test_any_damage_is_read_or_refused() -> None:
    encoded = keys.generate("somebody", algorithm="ec-p384").certificate.encoded
    generator = random.Random(6)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(encoded)
        damaged[generator.randrange(len(encoded))] = generator.randrange(256)
        try:
            certificate.parse(bytes(damaged))
        except FormatError:
            refused += 1
    assert 0 < refused < 3000
    for length in range(len(encoded)):
        with pytest.raises(FormatError):
            certificate.parse(encoded[:length])
