"""PKCS#7 as the kernel's sign-file, openssl and we write it."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.module import signature
from lkm.signing import certificate, keys, pkcs7
from tests.support.signing import Workshop, run, sign_file


def blob_of(module: bytes) -> bytes:
    found = signature.read(module)
    assert found is not None
    return found.blob


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_our_bytes_are_sign_file_s(shop: Workshop, tmp_path: Path, digest: str) -> None:
    module = tmp_path / "hello.ko"
    module.write_bytes(shop.hello)
    run(sign_file(shop.kernel), digest, shop.mok.private_key, shop.mok.der, module)
    assert shop.signed(shop.hello, digest=digest) == module.read_bytes()


def test_our_message_is_openssl_s(shop: Workshop) -> None:
    theirs = shop.openssl_cms(shop.hello, "-noattr", "-nocerts", "-nosmimecap")
    assert blob_of(shop.signed(shop.hello)) == theirs


def test_a_distribution_s_message_is_read_as_openssl_prints_it(
    shop: Workshop, tmp_path: Path
) -> None:
    blob = blob_of(shop.loop)
    message = pkcs7.parse(blob)
    (signer,) = message.signers
    path = tmp_path / "loop.p7s"
    path.write_bytes(blob)
    printed = run("openssl", "cms", "-inform", "DER", "-in", path, "-cmsout", "-print", "-noout")
    words = " ".join(printed.split())
    assert f"issuer: CN={signer.issuer_name}" in words
    assert f"serialNumber: 0x{int.from_bytes(signer.serial, 'big'):X}" in words
    assert f"algorithm: {signer.digest} (" in words
    assert "algorithm: rsaEncryption" in words
    assert signer.key_algorithm == "rsa"
    assert (message.is_data, message.has_content, message.certificates) == (True, False, ())
    rebuilt = pkcs7.build(
        signer.issuer, signer.serial, digest="sha256", key="rsa", signature=signer.signature
    )
    assert rebuilt == blob


def test_openssl_verifies_ours(shop: Workshop, tmp_path: Path) -> None:
    message, content = tmp_path / "m.p7s", tmp_path / "hello.ko"
    message.write_bytes(blob_of(shop.signed(shop.hello)))
    content.write_bytes(shop.hello)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", message]
    command += ["-content", content, "-certfile", shop.mok.pem, "-CAfile", shop.mok.pem]
    command += ["-purpose", "any", "-out", "/dev/null"]
    run(*command)
    content.write_bytes(shop.hello + b"x")
    with pytest.raises(subprocess.CalledProcessError):
        run(*command)


def test_what_options_change_is_seen(shop: Workshop) -> None:
    def parsed(*options: str) -> pkcs7.SignedData:
        return pkcs7.parse(shop.openssl_cms(shop.hello[:1000], *options))

    mine = certificate.load(shop.mok.der)
    assert parsed("-noattr").certificates == (mine.encoded,)
    assert parsed("-noattr", "-nodetach").has_content
    assert parsed("-nocerts").signers[0].has_attributes
    by_key_id = parsed("-noattr", "-nocerts", "-keyid").signers[0]
    assert (by_key_id.key_id, by_key_id.serial) == (mine.key_id, b"")


def test_ecdsa_is_built_and_read(shop: Workshop) -> None:
    pair = keys.generate("curve", algorithm="ec-p384")
    files = keys.save(pair, shop.folder / "ec", replace=True)
    (signer,) = pkcs7.parse(blob_of(shop.signed(shop.hello, files, "sha384"))).signers
    assert (signer.key_algorithm, signer.digest) == ("ecdsa", "sha384")


def test_another_message_is_refused(shop: Workshop) -> None:
    command = ["openssl", "cms", "-encrypt", "-aes128", "-outform", "DER", str(shop.mok.pem)]
    encrypted = subprocess.run(command, input=b"x", capture_output=True, check=True).stdout
    with pytest.raises(FormatError, match=r"signedData message, found content type 1\.2\.840"):
        pkcs7.parse(encrypted)


def test_bytes_after_the_message_are_refused(shop: Workshop) -> None:
    with pytest.raises(FormatError, match="1 bytes more"):
        pkcs7.parse(blob_of(shop.loop) + b"\0")


def test_every_cut_is_refused(shop: Workshop) -> None:
    blob = blob_of(shop.loop)
    for length in range(len(blob)):
        with pytest.raises(FormatError):
            pkcs7.parse(blob[:length])


def test_any_damage_is_read_or_refused(shop: Workshop) -> None:
    generator = random.Random(6)
    blob = bytearray(shop.openssl_cms(b"data"))
    refused = 0
    for _ in range(3000):
        damaged = bytearray(blob)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(blob))] = generator.randrange(256)
        try:
            for signer in pkcs7.parse(bytes(damaged)).signers:
                assert isinstance(signer.issuer_name, str)
        except FormatError:
            refused += 1
    assert 0 < refused < 3000
