"""Sign what was built, with the key that dkms would take, by our own signer.

Source: dkms's ``prepare_signing`` and ``prepare_mok``.
"""

from __future__ import annotations

import os
import re
import subprocess

from lkm import files
from lkm.build.dkms_compilers import is_here
from lkm.build.dkms_shell import quoted
from lkm.errors import LkmError
from lkm.operations.dkms.reporting import warn
from lkm.operations.dkms.settings import DkmsSigner, read_signing
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lkm.build.dkms_kernel import KernelTree
    from lkm.build.dkms_tree import KernelTarget
    from lkm.operations.dkms.session import DkmsSession

KEY_NAME = "DKMS module signing key"
KEY_DAYS = 36500
_KERNEL_PROGRAMS = ("sign-file", "kmodsign")
_DIGESTS = ("sha256", "sha384", "sha512")


class KeyPlace(Record):
    """A key (a file, or a ``pkcs11:`` URI) and its certificate's file."""

    key: str
    certificate: str

    @property
    def is_token(self) -> bool:
        """Whether the key never leaves a token."""
        return self.key.startswith("pkcs11:")


def prepare(session: DkmsSession, target: KernelTarget) -> DkmsSigner | None:
    """Find what to sign with, say it, make the key if there is none; ``None`` when not to sign."""
    say = session.reporter.say
    settings = session.settings
    values = read_signing(settings.root, settings.framework, target)
    kernel = session.kernel(target)
    policy = values.get("try_sign_modules", "")
    if policy == "false":
        say("Module signing is disabled by policy, modules won't be signed")
        return None
    if policy != "true" and in_chroot():
        say("Running in chroot, modules won't be signed")
        return None
    if not os.path.isfile(kernel.config):
        say(f"Kernel config {kernel.config} not found, modules won't be signed")
        return None
    digest = kernel.option("CONFIG_MODULE_SIG_HASH")
    if not digest:
        say("The kernel is built without module signing facility, modules won't be signed")
        return None
    program = values.get("sign_file") or _sign_file(settings.distribution, target, kernel)
    say(f"Sign command: {program}")
    if not os.path.isfile(program) or not os.access(program, os.X_OK):
        say(f"Binary {program} not found, modules won't be signed")
        return None
    place = prepare_key(session, values, kernel)
    return DkmsSigner(program, digest, place.key, place.certificate) if place else None


def in_chroot() -> bool:
    """Say whether this process has another root, or other mounts, than the first one.

    Where /proc is not there to tell, it has.
    """
    try:
        with open("/proc/self/mountinfo", "rb") as mine:
            own = mine.read()
    except OSError:
        return True
    try:
        with open("/proc/1/mountinfo", "rb") as first:
            if first.read() != own:
                return True
        return not os.path.samestat(os.stat("/proc/1/root/."), os.stat("/."))
    except OSError:
        return False  # an ordinary user may not look


def _sign_file(distribution: str, target: KernelTarget, kernel: KernelTree) -> str:
    release = target.kernel
    if distribution.startswith("debian"):
        program = f"/usr/lib/linux-kbuild-{release.rpartition('.')[0] or release}/scripts/sign-file"
    elif distribution.startswith("ubuntu"):
        program = "/usr/bin/kmodsign"
        if not is_here(program):
            program = f"/usr/src/linux-headers-{release}/scripts/sign-file"
    elif distribution.startswith("gentoo"):
        program = f"/usr/src/linux-{release}/scripts/sign-file"
    else:
        program = ""
    if os.path.isfile(program):
        return program
    return f"{os.path.dirname(kernel.folder)}/{release}/build/scripts/sign-file"


def prepare_key(
    session: DkmsSession, values: Mapping[str, str], kernel: KernelTree | None
) -> KeyPlace | None:
    """Say which key is taken, making it where it is missing; ``None`` when there is none."""
    say = session.reporter.say
    place = _distribution_key(session, values, kernel)
    if place is None:
        return None
    say(f"Signing key: {place.key}")
    say(f"Public certificate (MOK): {place.certificate}")
    missing = not (os.path.isfile(place.key) and os.path.isfile(place.certificate))
    if missing and not place.is_token:
        say("Certificate or key are missing, generating self signed certificate for MOK...")
        made_key, made_certificate = _make_key(place)
        if not made_key:
            say(f"Key file {place.key} not found and can't be generated, modules won't be signed")
            return None
        if not made_certificate:
            say(
                f"Certificate file {place.certificate} not found and can't be generated,"
                " modules won't be signed"
            )
            return None
    elif not os.path.isfile(place.certificate):
        say(
            f"Certificate file {place.certificate} not found and can't be generated,"
            " modules won't be signed"
        )
        return None
    return place


def _distribution_key(
    session: DkmsSession, values: Mapping[str, str], kernel: KernelTree | None
) -> KeyPlace | None:
    key, certificate = values.get("mok_signing_key", ""), values.get("mok_certificate", "")
    if not key:
        if session.settings.distribution.startswith("ubuntu"):
            return _ubuntu_key(session)
        if session.settings.distribution.startswith("gentoo"):
            key, certificate = _gentoo_key(kernel)
    tree = session.settings.dkms_tree
    return KeyPlace(key or f"{tree}/mok.key", certificate or f"{tree}/mok.pub")


def _ubuntu_key(session: DkmsSession) -> KeyPlace | None:
    place = KeyPlace("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der")
    if os.path.isfile(place.key) and os.path.isfile(place.certificate):
        return place
    program = "update-secureboot-policy"
    if not is_here(program):
        session.reporter.say(f"Binary {program} not found, modules won't be signed")
        return None
    if os.path.isfile(place.certificate):
        os.unlink(place.certificate)  # otherwise the program makes no new key
    session.reporter.say(f"Certificate or key are missing, generating them using {program}...")
    env = {**os.environ, "SHIM_NOTRIGGER": "y"}
    subprocess.run([program, "--new-key"], env=env, capture_output=True, check=False)
    session.reporter.run([program, "--enroll-key"], "/", dict(os.environ))
    return place


def _gentoo_key(kernel: KernelTree | None) -> tuple[str, str]:
    found = [os.environ.get(name, "") for name in ("MODULES_SIGN_KEY", "MODULES_SIGN_CERT")]
    try:
        with open("/etc/portage/make.conf", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    for place, name in enumerate(("MODULES_SIGN_KEY", "MODULES_SIGN_CERT")):
        line = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
        if not found[place] and line:
            found[place] = line.group(1).replace('"', "")
    if not found[0] and kernel:
        named = kernel.option("CONFIG_MODULE_SIG_KEY")
        if named:
            path = os.path.realpath(os.path.join(kernel.headers, named))
            return path, path
    return found[0], found[1]


def _make_key(place: KeyPlace) -> tuple[bool, bool]:
    """Make the key and its certificate; say of both whether they are there.

    A key that is there already is kept: only its certificate is made anew.
    """
    key_folder, folder = os.path.dirname(place.key), os.path.dirname(place.certificate)
    if not os.path.isfile(place.key) and not os.access(key_folder, os.W_OK):
        return False, False
    if not os.access(folder, os.W_OK):
        return True, False
    from lkm.signing import keys  # only once in a machine's life

    old = keys.load_private_key(place.key) if os.path.isfile(place.key) else None
    pair = keys.generate(KEY_NAME, days=KEY_DAYS, private_key=old)
    if old is None:
        encoded = keys.encode_private_key(pair.private_key, None)
        files.write_atomic(place.key, encoded, mode=0o600)
    files.write_atomic(place.certificate, pair.certificate.encoded)
    return True, True


def sign(session: DkmsSession, signer: DkmsSigner, path: str) -> bool:
    """Sign a module file in place; a failure is a warning, and said by the answer."""
    try:
        own = _own_signer(signer)
    except (LkmError, OSError):
        own = None  # the kernel's program says what is wrong with the key, in words users know
    if own is None:
        return _sign_by_program(session, signer, path)
    from lkm.signing.sign import signed  # with what it needs 40 ms, for whoever signs

    try:
        with open(path, "rb") as file:
            data = signed(file.read(), own, path)
        files.write_atomic(path, data, mode=os.stat(path).st_mode & 0o777)
    except (LkmError, OSError) as error:
        warn(session.reporter, f"Failed to sign module '{path}'!", str(error))
        return False
    return True


def _own_signer(signer: DkmsSigner):  # type: ignore[no-untyped-def]
    if os.path.basename(signer.program) not in _KERNEL_PROGRAMS or signer.digest not in _DIGESTS:
        return None
    if signer.key.startswith("pkcs11:"):
        return None
    from lkm.signing import certificate, keys  # as above
    from lkm.signing.sign import PIN_VARIABLE, KeySigner

    found = certificate.load(signer.certificate)
    pin = os.environ.get(PIN_VARIABLE)
    key = keys.load_private_key(signer.key, os.fsencode(pin) if pin else None, checked=False)
    keys.check_pair(key, found, signer.key)
    return KeySigner(key, found, signer.digest)


def _sign_by_program(session: DkmsSession, signer: DkmsSigner, path: str) -> bool:
    command = [signer.program, signer.digest, signer.key, signer.certificate, path]
    done = subprocess.run(
        ["sh", "-c", " ".join(map(quoted, command)) + " 2>&1"], capture_output=True, check=False
    )
    if done.returncode == 0:
        return True
    said = os.fsdecode(done.stdout).rstrip("\n")
    warn(session.reporter, f"Failed to sign module '{path}'!", said)
    return False
