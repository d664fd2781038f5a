"""Is the signature good, and must there be one? (``kernel/module/signing.c: module_sig_check``)

A signature that cannot be checked (none, unknown key, unknown type) matters only where signatures
are enforced or the kernel is locked down; one that is wrong is refused always.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EBADMSG, EMSGSIZE

from lkm.doctor.case import Case
from lkm.doctor.causes import signature
from lkm.doctor.finding import Evidence, Finding
from lkm.errors import FormatError
from lkm.signing import verify
from lkm.signing.verify import SignatureVerdict, Verification

_SOFT = {
    SignatureVerdict.UNSIGNED: "unsigned",
    SignatureVerdict.UNKNOWN_KEY: "unavailable",
    SignatureVerdict.UNSUPPORTED: "crypto",
}


def check(case: Case) -> Iterator[Finding]:
    """Say what the kernel will make of the signature."""
    if case.target.image.ignores_signatures:
        return
    if case.force_vermagic or case.force_modversions:
        # A forced load changes what was signed, so the kernel takes it as unsigned.
        found = Verification(case.path, SignatureVerdict.UNSIGNED)
    else:
        found = verify.verify(case.data, case.target.keyring, case.path)
    if found.verdict is SignatureVerdict.TAMPERED:
        yield signature.tampered(case.module, case.path, found.signer)
    elif found.verdict in (SignatureVerdict.MALFORMED, SignatureVerdict.OVERSIZED):
        yield signature.broken(
            case.module,
            case.path,
            found.reason,
            errno=EMSGSIZE if found.verdict is SignatureVerdict.OVERSIZED else EBADMSG,
            removable=_has_readable_trailer(case),
        )
    elif found.verdict is SignatureVerdict.WRONG_OPTIONS:
        yield signature.wrong_options(case.module, case.path, "has authattrs")
    elif found.verdict is SignatureVerdict.UNKNOWN_KEY and not case.target.keyring.keys:
        yield signature.unchecked(case.module, found.signer)
    elif found.verdict is not SignatureVerdict.VALID:
        yield from _soft(case, found)


def _has_readable_trailer(case: Case) -> bool:
    try:
        return case.signature is not None
    except FormatError:
        return False


def _soft(case: Case, found: Verification) -> Iterator[Finding]:
    policy = case.target.policy
    reason = _SOFT[found.verdict]
    signer = (Evidence("signed by", found.signer or found.key_id),) if found.signer else ()
    if policy.enforce or case.target.image.has("MODULE_SIG_FORCE"):
        evidence = Evidence("module.sig_enforce", "1")
        yield signature.rejected(reason, case.module, case.path, evidence, *signer)
    elif policy.lockdown != "none":
        evidence = Evidence("lockdown", policy.lockdown, "/sys/kernel/security/lockdown")
        yield signature.lockdown(case.module, case.path, evidence, *signer)
    else:
        yield signature.taints(case.module)
