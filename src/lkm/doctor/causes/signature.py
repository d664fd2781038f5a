"""The kernel does not accept the module's signature, or that it has none.

Source: ``kernel/module/signing.c: module_sig_check``, ``kernel/module_signature.c: mod_check_sig``,
``crypto/asymmetric_keys/pkcs7_*.c``, ``security/lockdown/lockdown.c``.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from errno import EBADMSG, EKEYREJECTED, ENOPKG, EPERM

from lkm.build.dkms_key import DkmsKey, machine_key
from lkm.doctor.finding import Evidence, Finding, Fix, Severity
from lkm.module.signature import MARKER

_REASONS = {
    "unsigned": "unsigned module",
    "unavailable": "module with unavailable key",
    "crypto": "module with unsupported crypto",
}


def sign_and_enrol(path: str = "") -> Fix:
    """Return the fix that makes a module of one's own acceptable to an enforcing kernel.

    Where DKMS has a key already, that is the one to trust: nobody needs a second.
    """
    file = shlex.quote(path) if path else "MODULE.ko"
    own = machine_key()
    if own:
        return _enrol_dkms_key(own, file, is_dkms="/dkms/" in path or not path)
    return Fix(
        "sign it with a key of yours, and have the firmware trust that key (asks at next boot)",
        (
            "mkdir -p ~/.config/lkm/mok && lkm keys new --out ~/.config/lkm/mok",
            f"lkm sign {file} --key ~/.config/lkm/mok/MOK.priv --cert ~/.config/lkm/mok/MOK.pem",
            "sudo lkm mok enroll ~/.config/lkm/mok/MOK.der",
        ),
    )


def _enrol_dkms_key(own: DkmsKey, file: str, *, is_dkms: bool) -> Fix:
    enrol = f"sudo mokutil --import {own.certificate}"
    if is_dkms:
        return Fix(
            "enrol the key that DKMS signs with: the firmware asks for it at next boot", (enrol,)
        )
    return Fix(
        "sign it with the key DKMS has here, and enrol that: the firmware asks at next boot",
        (f"sudo lkm sign {file} --key {own.private_key} --cert {own.certificate}", enrol),
    )


def rejected(reason: str, module: str = "", path: str = "", *evidence: Evidence) -> Finding:
    """Enforcement is on; ``reason`` is ``unsigned``, ``unavailable`` (key) or ``crypto``."""
    causes = {
        "unsigned": "the module is not signed, and this kernel loads signed modules only",
        "unavailable": "the module is signed with a key that this kernel does not trust",
        "crypto": "the module's signature needs an algorithm or format this kernel has not",
    }
    return Finding(
        f"signature-{reason}",
        Severity.FATAL,
        causes[reason],
        EKEYREJECTED,
        f"Loading of {_REASONS[reason]} is rejected",
        module=module,
        evidence=evidence,
        fixes=(sign_and_enrol(path),),
    )


def lockdown(module: str = "", path: str = "", *evidence: Evidence) -> Finding:
    """Lockdown is on without enforcement; the same for unsigned and for an unknown key."""
    return Finding(
        "lockdown",
        Severity.FATAL,
        "the kernel is locked down, so it loads only modules signed with a key it trusts",
        EPERM,
        "unsigned module loading is restricted; see man kernel_lockdown.7",
        module=module,
        evidence=evidence,
        fixes=(
            sign_and_enrol(path),
            Fix(
                "or boot without lockdown: take lockdown= off the kernel's command line, "
                "or switch Secure Boot off in the firmware",
                ("sudo mokutil --disable-validation",),
            ),
        ),
    )


def key_missing(module: str = "") -> Finding:
    """ENOKEY: what kernels before 5.4 answered where today's say EKEYREJECTED."""
    return Finding(
        "signature-unavailable",
        Severity.FATAL,
        "this kernel loads signed modules only, and the module is not signed with a key it trusts "
        "(Secure Boot is on, or module.sig_enforce=1)",
        126,
        module=module,
        fixes=(sign_and_enrol(),),
    )


def unknown_key(name: str, module: str = "", *, errno: int = 126) -> Finding:
    """The kernel looked for the signer's key in its keyrings and did not find it."""
    return Finding(
        "signature-unavailable",
        Severity.FATAL,
        f"the module is signed with a key that this kernel does not "
        f"trust{': ' + name if name else ''}; where signatures are "
        "enforced (Secure Boot) it is refused",
        errno,
        module=module,
        evidence=(Evidence("signed by", name),) if name else (),
        fixes=(_enrol(name), sign_and_enrol()),
    )


def _enrol(name: str) -> Fix:
    """Return how the key of a distribution's own module builder is enrolled."""
    lowered = name.lower()
    commands: tuple[str, ...]
    if "akmods" in lowered or "fedora_" in lowered:
        commands = (
            "sudo kmodgenca --auto",
            "sudo mokutil --import /etc/pki/akmods/certs/public_key.der",
            "sudo reboot",
        )
    elif "dkms" in lowered:
        commands = ("sudo mokutil --import /var/lib/dkms/mok.pub", "sudo reboot")
    elif "secure boot module signature" in lowered or "ubuntu" in lowered:
        commands = ("sudo update-secureboot-policy --enroll-key", "sudo reboot")
    else:
        commands = ("sudo mokutil --import CERTIFICATE.der", "sudo reboot")
    return Fix(
        "enrol that key as a Machine Owner Key (asks for a password, and again at the next boot)",
        commands,
    )


def untrusted(module: str = "") -> Finding:
    """A signature whose signer is not trusted, on a kernel that only notes it."""
    return Finding(
        "signature-untrusted",
        Severity.NOTE,
        "the module's signature was made with a key that this kernel does not trust; unless "
        "signatures are enforced it loads, "
        "and sets taint E",
        0,
        "PKCS#7 signature not signed with a trusted key",
        module=module,
        fixes=(sign_and_enrol(),),
    )


def tampered(module: str = "", path: str = "", signer: str = "") -> Finding:
    """Signed with a trusted key, then changed: refused always, and without a log line."""
    file = shlex.quote(path) if path else "MODULE.ko"
    evidence = (Evidence("signed by", signer, path),) if signer else ()
    return Finding(
        "tampered",
        Severity.FATAL,
        "the module was changed after it was signed (strip and objcopy do that); "
        "the kernel refuses it even where signatures are not enforced",
        EKEYREJECTED,
        module=module,
        evidence=evidence,
        fixes=(
            Fix(
                "sign it again; or take the dead signature off, where unsigned ones may load",
                (f"lkm strip-signature {file}",),
            ),
        ),
    )


def refused(module: str) -> Finding:
    """EKEYREJECTED alone: with enforcement the kernel logs a line, for a changed module none."""
    base = tampered(module)
    return replace(
        base,
        name="signature-refused",
        cause="the module was changed after it was signed (then the kernel logs nothing), "
        "or only signed modules may load here and this one is unsigned or signed with an unknown "
        "key (then it logs `Loading of … is rejected')",
        fixes=(*base.fixes, sign_and_enrol()),
    )


def broken(
    module: str,
    path: str,
    what: str,
    *,
    errno: int = EBADMSG,
    removable: bool = True,
) -> Finding:
    """The appended signature cannot be read; not ``removable`` where its length is wrong, too."""
    file = shlex.quote(path) if path else "MODULE.ko"
    command = f"lkm strip-signature {file}"
    if not removable:
        # Without its marker the rest counts as nothing: the module is simply unsigned.
        command = f"truncate --size=-{len(MARKER)} {file}"
    return Finding(
        "signature-broken",
        Severity.FATAL,
        f"the signature at the module's end is damaged: {what}",
        errno,
        module=module,
        fixes=(Fix("take it off, and sign again where that is needed", (command,)),),
    )


def wrong_options(module: str = "", path: str = "", why: str = "has authattrs") -> Finding:
    """A PKCS#7 of a form the kernel refuses: it was made with the wrong options."""
    file = shlex.quote(path) if path else "MODULE.ko"
    return Finding(
        "signature-options",
        Severity.FATAL,
        "the signature was made with options the kernel does not accept (signed attributes)",
        129,
        f"Invalid module sig ({why})",
        module=module,
        fixes=(
            Fix(
                "sign it again, as the kernel expects it",
                (f"lkm sign {file} --key KEY --cert CERT",),
            ),
        ),
    )


def not_pkcs7(module: str = "", path: str = "") -> Finding:
    """A trailer that announces another signature type; the kernel treats it as unsupported."""
    file = shlex.quote(path) if path else "MODULE.ko"
    return Finding(
        "signature-type",
        Severity.WARNING,
        "the signature at the module's end is of a type this kernel does not know",
        ENOPKG,
        "module: not signed with expected PKCS#7 message",
        module=module,
        fixes=(Fix("sign it again", (f"lkm sign {file} --key KEY --cert CERT",)),),
    )


def unchecked(module: str, signer: str) -> Finding:
    """The keys this kernel trusts are not known here: its image could not be read."""
    return Finding(
        "signature-unchecked",
        Severity.UNKNOWN,
        "the module is signed, but which keys the kernel trusts is not known here",
        module=module,
        evidence=(Evidence("signed by", signer),),
        fixes=(Fix("let the kernel's image be read", ("sudo lkm doctor MODULE",)),),
    )


def taints(module: str) -> Finding:
    """Not enforced: it loads, and taints the kernel."""
    return Finding(
        "unsigned",
        Severity.NOTE,
        "the module has no signature this kernel can verify; it loads, and sets taint E",
        0,
        f"{module}: module verification failed: signature and/or required key missing - "
        "tainting kernel",
        module=module,
    )


def ima(text: str) -> Finding:
    """IMA's policy appraises modules, and this one has no good security.ima attribute."""
    return Finding(
        "ima",
        Severity.FATAL,
        "the machine's integrity policy (IMA) refuses the module: its file has no valid "
        "security.ima signature",
        13,
        text,
        fixes=(
            Fix(
                "sign the file for IMA with a key the machine trusts, or take the module from "
                "the distribution",
                (
                    "sudo evmctl ima_sign --key KEY MODULE.ko",
                    "sudo cat /sys/kernel/security/ima/policy",
                ),
            ),
        ),
    )


def loadpin(text: str) -> Finding:
    """LoadPin lets modules come from one file system only."""
    return Finding(
        "loadpin",
        Severity.FATAL,
        "the kernel takes modules from one file system only, the first one that gave it one "
        "(LoadPin)",
        EPERM,
        text,
        fixes=(
            Fix(
                "put the module on that file system, or boot without the rule",
                ("# kernel command line: loadpin.enforce=0",),
            ),
        ),
    )


def revoked() -> Finding:
    """The module's hash, or its signer's, is on the kernel's list of what is never loaded."""
    return Finding(
        "signature-revoked",
        Severity.FATAL,
        "the module is on the kernel's list of what must not be loaded (blacklisted hash: dbx, "
        "MOKX, or built in)",
        EKEYREJECTED,
        fixes=(Fix("take a newer version of the module", ("mokutil --list-enrolled --mokx",)),),
    )
