"""The certificates built into the fetched kernels."""

from __future__ import annotations

from array import array

import pytest

from lkm.errors import FormatError
from lkm.module import compression, signature
from lkm.signing import certificate, pkcs7
from lkm.vmlinux import certificates
from lkm.vmlinux.image import open_cached
from lkm.vmlinux.symbols import Symbols
from tests.support.kernels import KernelFiles, kernel_files


@pytest.mark.parametrize(
    ("series", "algorithm", "suffix"),
    [
        ("6.1.", "rsa4096", ""),
        ("6.12.", "ec-p384", ".xz"),
        pytest.param("5.10.", "rsa4096", "", marks=pytest.mark.full),
        pytest.param("7.", "ec-p384", ".xz", marks=pytest.mark.full),
    ],
)
def test_the_key_of_the_kernel_s_own_modules_is_there(
    series: str, algorithm: str, suffix: str
) -> None:
    kernel = kernel_files(series)
    found = certificate.split(open_cached(kernel.vmlinuz).certificates)
    path = kernel.modules / f"kernel/drivers/block/loop.ko{suffix}"
    appended = signature.read(compression.decompress(path.read_bytes()))
    assert appended is not None
    (signer,) = pkcs7.parse(appended.blob).signers
    assert (signer.issuer, signer.serial) in {(c.issuer, c.serial) for c in found}
    assert {c.algorithm for c in found} == {algorithm}


def symbols(**addresses: int) -> Symbols:
    names = sorted(addresses, key=addresses.__getitem__)
    return Symbols(array("Q", sorted(addresses.values())), "r" * len(names), names)


def test_a_kernel_without_the_list_has_none(kernel: KernelFiles) -> None:
    assert certificates.read(open_cached(kernel.vmlinuz).elf, symbols()) == b""


def test_a_size_that_cannot_be_is_refused(kernel: KernelFiles) -> None:
    image = open_cached(kernel.vmlinuz)
    start = image.kallsyms["_text"]
    lying = symbols(system_certificate_list=start, system_certificate_list_size=start)
    with pytest.raises(FormatError, match="bytes of certificates"):
        certificates.read(image.elf, lying)
