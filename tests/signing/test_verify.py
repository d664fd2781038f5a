"""The verdict on every state of signature, and whose key it names."""

from __future__ import annotations

import errno
import random

from lkm.module import signature
from lkm.signing import keyring
from lkm.signing.keyring import Keyring
from lkm.signing.verify import Answer, Enforcement, SignatureVerdict, answer, verify
from tests.support.signing import Workshop, tampered


def test_every_variant_gets_its_verdict(shop: Workshop) -> None:
    ring = keyring.from_files([shop.mok.der])
    for variant in shop.mok_variants():
        assert verify(variant.data, ring).verdict is variant.verdict, variant.name
    for variant in shop.variants():
        found = verify(variant.data, ring)
        if variant.name.startswith("distribution's"):
            assert found.verdict is SignatureVerdict.UNKNOWN_KEY
        else:
            assert found.verdict is variant.verdict, variant.name
        assert found.reason


def test_a_valid_module_names_its_signer_and_the_key_s_place(shop: Workshop) -> None:
    found = verify(shop.signed(shop.hello), keyring.from_files([shop.mok.pem]), "hello.ko")
    assert found.path == "hello.ko"
    assert (found.signer, found.digest, found.key_algorithm) == ("lkm test mok", "sha256", "rsa")
    assert found.trusted_by == str(shop.mok.pem)
    assert not found.reason


def test_an_empty_keyring_knows_nobody(shop: Workshop) -> None:
    assert verify(shop.signed(shop.hello), Keyring()).verdict is SignatureVerdict.UNKNOWN_KEY
    assert (
        verify(tampered(shop.signed(shop.hello)), Keyring()).verdict is SignatureVerdict.UNKNOWN_KEY
    )


def test_another_key_is_not_the_key(shop: Workshop) -> None:
    ring = keyring.from_files([shop.stranger.der])
    assert verify(shop.signed(shop.hello), ring).verdict is SignatureVerdict.UNKNOWN_KEY


def test_a_directory_of_certificates_is_a_keyring(shop: Workshop) -> None:
    ring = keyring.from_directory(shop.mok.der.parent)
    assert {key.certificate.name for key in ring.keys} == {"lkm test mok"}


def test_unreadable_certificates_of_a_list_are_left_out(shop: Workshop) -> None:
    ring = keyring.from_encoded([b"junk", shop.mok.der.read_bytes()], "list")
    assert [key.source for key in ring.keys] == ["list"]


def test_any_damage_to_the_signature_is_a_verdict(shop: Workshop) -> None:
    ring = keyring.from_files([shop.mok.der])
    signed = shop.signed(shop.hello)
    found = signature.read(signed)
    assert found is not None
    generator = random.Random(6)
    seen = set()
    for _ in range(1500):
        damaged = bytearray(signed)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(found.content_length, len(signed))
            damaged[place] = generator.randrange(256)
        seen.add(verify(bytes(damaged), ring).verdict)
    assert {
        SignatureVerdict.MALFORMED,
        SignatureVerdict.TAMPERED,
        SignatureVerdict.UNSIGNED,
    } <= seen


def test_the_table_of_answers() -> None:
    """Linux 6.1, kernel/module/signing.c: soft errors are refused only when enforced."""
    rejected, lockdown = errno.EKEYREJECTED, errno.EPERM
    assert answer(SignatureVerdict.UNSIGNED, Enforcement.NONE) == Answer(0, taints=True)
    assert answer(SignatureVerdict.UNSIGNED, Enforcement.SIGNATURES) == Answer(
        rejected, "Loading of unsigned module is rejected"
    )
    assert answer(SignatureVerdict.UNKNOWN_KEY, Enforcement.SIGNATURES) == Answer(
        rejected, "Loading of module with unavailable key is rejected"
    )
    assert answer(SignatureVerdict.UNKNOWN_KEY, Enforcement.LOCKDOWN).errno == lockdown
    for enforcement in Enforcement:
        assert answer(SignatureVerdict.VALID, enforcement) == Answer(0)
        assert answer(SignatureVerdict.TAMPERED, enforcement) == Answer(rejected)
        assert answer(SignatureVerdict.MALFORMED, enforcement) == Answer(errno.EBADMSG)
