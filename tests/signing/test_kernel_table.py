"""The whole table of signatures on real kernels: errno, log line and taint are as predicted."""

from __future__ import annotations

import pytest

from lkm.errors import KernelError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.signing.verify import Answer, Enforcement, SignatureVerdict, answer
from tests.support.signing import Variant, Workshop

COMMAND_LINES = {
    Enforcement.NONE: "",
    Enforcement.SIGNATURES: "module.sig_enforce=1",
    Enforcement.LOCKDOWN: "lockdown=integrity",
}
# What the kernel logs of a message it does not like, for verdicts that always end in an errno.
WORDS = {
    "authattrs": "Invalid module sig (has authattrs)",
    "S/MIME caps": "S/MIME Caps only allowed with Authenticode",
    "data inside": "PKCS#7 signature with non-detached data",
    "signature of another type": "not signed with expected PKCS#7 message",
    "trailer fields set": "PKCS#7 signature info has unexpected non-zero params",
}


def outcome(kernel: Kernel, variant: Variant) -> tuple[int, str, bool]:
    """Load a variant and return errno, log and whether it tainted the kernel with E."""
    name = "hello" if variant.ours else "loop"
    try:
        loaded = kernel.load(variant.data)
    except KernelError as error:
        return error.errno, "\n".join(error.log), False
    kernel.unload(name)
    return 0, "", "E" in loaded.taints


def expected(variant: Variant, enforcement: Enforcement) -> Answer:
    return answer(variant.verdict, enforcement)


def check(kernel: Kernel, variant: Variant, enforcement: Enforcement) -> None:
    errno, log, taints = outcome(kernel, variant)
    predicted = expected(variant, enforcement)
    assert (errno, taints) == (predicted.errno, predicted.taints), (variant.name, log)
    for part in predicted.log.split("<comm>"):
        assert part in log, variant.name
    if errno and variant.name in WORDS:
        assert WORDS[variant.name] in log
    elif errno and not predicted.log:
        assert log == "", variant.name


@pytest.mark.parametrize("enforcement", Enforcement)
@pytest.mark.parametrize("where", ["vm", "emulated"])
def test_every_variant_is_answered_as_predicted(
    shop: Workshop, where: str, enforcement: Enforcement
) -> None:
    name = f"{where}:{shop.kernel.release}"
    with open_kernel(name, command_line=COMMAND_LINES[enforcement]) as kernel:
        for variant in shop.variants():
            check(kernel, variant, enforcement)


def test_verdicts_of_all_kinds_are_in_the_table(shop: Workshop) -> None:
    assert {variant.verdict for variant in shop.variants()} == set(SignatureVerdict)
