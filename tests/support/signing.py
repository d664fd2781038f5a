"""Keys made for a test, and a module in every state of signature the kernel distinguishes."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.module import signature
from lkm.signing import certificate, keys, sign
from lkm.signing.keys import KeyFiles
from lkm.signing.verify import SignatureVerdict
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def run(*command: object) -> str:
    """Return what a command that must succeed prints."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class Variant:
    """A module's bytes, and what a kernel that trusts the distribution's and our key finds."""

    name: str
    data: bytes
    verdict: SignatureVerdict
    ours: bool = True


@dataclass(frozen=True)
class Workshop:
    """A folder with a key that kernels are told to trust (``mok``) and one they are not."""

    folder: Path
    mok: KeyFiles
    stranger: KeyFiles
    kernel: KernelFiles

    @functools.cached_property
    def hello(self) -> bytes:
        """Our own module, unsigned."""
        return built("hello", self.kernel).read_bytes()

    @functools.cached_property
    def loop(self) -> bytes:
        """A module of the distribution, signed with the key built into its kernel."""
        return (self.kernel.modules / "kernel/drivers/block/loop.ko").read_bytes()

    def signed(self, data: bytes, key: KeyFiles | None = None, digest: str = "sha256") -> bytes:
        """Return ``data`` signed by us."""
        files = key or self.mok
        private = keys.load_private_key(files.private_key)
        return sign.signed(data, sign.KeySigner(private, certificate.load(files.der), digest))

    def openssl(self, data: bytes, *options: str, key: KeyFiles | None = None) -> bytes:
        """Return ``data`` with a signature that ``openssl cms -sign`` made with ``options``."""
        return signature.append(data, self.openssl_cms(data, *options, key=key))

    def openssl_cms(self, data: bytes, *options: str, key: KeyFiles | None = None) -> bytes:
        """Return the message that ``openssl cms -sign`` makes of ``data`` with ``options``."""
        files = key or self.mok
        command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256"]
        command += ["-signer", str(files.pem), "-inkey", str(files.private_key), *options]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    def with_data_inside(self, size: int) -> bytes:
        """Return our module with a message that carries data instead of being detached."""
        message = self.openssl_cms(bytes(size), "-nodetach", "-noattr", "-nocerts", "-nosmimecap")
        return signature.append(self.hello, message)

    def variants(self) -> tuple[Variant, ...]:
        """Return a module in every state of signature that the kernel tells apart."""
        hello, loop = self.hello, self.loop
        signed = self.signed(hello)
        with_stranger = self.openssl(hello, "-noattr", "-nosmimecap", key=self.stranger)
        return (
            Variant("distribution's", loop, SignatureVerdict.VALID, ours=False),
            Variant("unsigned", hello, SignatureVerdict.UNSIGNED),
            Variant("stripped", signature.strip(loop), SignatureVerdict.UNSIGNED, ours=False),
            Variant("marker lost", signed[:-1], SignatureVerdict.UNSIGNED),
            Variant("unknown key", self.signed(hello, self.stranger), SignatureVerdict.UNKNOWN_KEY),
            Variant(
                "unknown key, tampered",
                tampered(self.signed(hello, self.stranger)),
                SignatureVerdict.UNKNOWN_KEY,
            ),
            Variant(
                "unknown key, its certificate inside", with_stranger, SignatureVerdict.UNKNOWN_KEY
            ),
            Variant("the same, tampered", tampered(with_stranger), SignatureVerdict.TAMPERED),
            Variant(
                "distribution's, tampered", tampered(loop), SignatureVerdict.TAMPERED, ours=False
            ),
            Variant("garbage PKCS#7", garbage(hello), SignatureVerdict.MALFORMED),
            Variant(
                "length past the file", length_past_the_file(hello), SignatureVerdict.MALFORMED
            ),
            Variant("signature of another type", of_type(signed, 1), SignatureVerdict.UNSUPPORTED),
            Variant("trailer fields set", of_algorithm(signed, 1), SignatureVerdict.MALFORMED),
            Variant("data inside", self.with_data_inside(1000), SignatureVerdict.MALFORMED),
            Variant(
                "over 64 KiB of signature",
                self.with_data_inside(1 << 16),
                SignatureVerdict.OVERSIZED,
            ),
            Variant(
                "authattrs",
                self.openssl(hello, "-nocerts", "-nosmimecap"),
                SignatureVerdict.WRONG_OPTIONS,
            ),
            Variant("S/MIME caps", self.openssl(hello, "-nocerts"), SignatureVerdict.WRONG_OPTIONS),
        )

    def mok_variants(self) -> tuple[Variant, ...]:
        """Return modules that only a kernel which trusts our key tells apart."""
        hello = self.hello
        signed = self.signed(hello)
        return (
            Variant("our key", signed, SignatureVerdict.VALID),
            Variant("our key, tampered", tampered(signed), SignatureVerdict.TAMPERED),
            Variant(
                "our key, by openssl",
                self.openssl(hello, "-noattr", "-nocerts", "-nosmimecap"),
                SignatureVerdict.VALID,
            ),
            Variant(
                "our key, its certificate inside",
                self.openssl(hello, "-noattr", "-nosmimecap"),
                SignatureVerdict.VALID,
            ),
            Variant(
                "our key, named by key id",
                self.openssl(hello, "-noattr", "-nocerts", "-keyid"),
                SignatureVerdict.VALID,
            ),
        )


def workshop(folder: Path, kernel: KernelFiles) -> Workshop:
    """Make the keys below ``folder``."""
    made = [
        keys.save(keys.generate(f"lkm test {name}"), folder / name, name=name)
        for name in ("mok", "stranger")
    ]
    return Workshop(folder, made[0], made[1], kernel)


def tampered(module: bytes) -> bytes:
    """Return ``module`` with a field of no consequence changed in its ``.modinfo``."""
    field = next(f for f in (b"description=", b"author=", b"alias=") if f in module)
    start = module.index(field) + len(field)
    return module[:start] + b"X" + module[start + 1 :]


def garbage(module: bytes) -> bytes:
    """Return ``module`` with a signature that is no PKCS#7."""
    return signature.append(module, bytes(range(256)))


def length_past_the_file(module: bytes) -> bytes:
    """Return ``module`` with a signature that says it is longer than the file."""
    trailer = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + (1 << 30).to_bytes(4, "big")
    return module + trailer + signature.MARKER


def of_type(signed: bytes, id_type: int) -> bytes:
    """Return the signed module with another ``id_type`` in its trailer."""
    return _trailer_byte(signed, 2, id_type)


def of_algorithm(signed: bytes, algorithm: int) -> bytes:
    """Return the signed module with ``algo`` set in its trailer."""
    return _trailer_byte(signed, 0, algorithm)


def _trailer_byte(signed: bytes, index: int, value: int) -> bytes:
    place = len(signed) - len(signature.MARKER) - 12 + index
    return signed[:place] + bytes([value]) + signed[place + 1 :]


def sign_file(kernel: KernelFiles) -> str:
    """Return the kernel's own ``sign-file``."""
    candidates: Sequence[Path] = [
        kernel.headers / "scripts/sign-file",
        *sorted(Path("/usr/lib").glob("linux-kbuild-*/scripts/sign-file")),
    ]
    for path in candidates:
        if path.exists():
            return str(path.resolve())
    raise AssertionError("no sign-file: install the kernel headers")
