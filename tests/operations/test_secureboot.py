"""The rehearsal, whole: real firmware, shim, GRUB, MokManager and the distribution's kernel."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lkm.errors import UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.providers import from_tree
from lkm.kernel.vm import firmware, secure_boot
from lkm.kernels.known import find_kernel
from lkm.operations.trust import secureboot
from lkm.operations.trust.secureboot import RehearsalStep
from lkm.signing import certificate, keys, variable_store
from lkm.signing.keys import KeyFiles
from lkm.signing.verify import Enforcement, SignatureVerdict
from tests.signing.test_kernel_table import check
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.signing import Variant, Workshop, workshop

KEY_NOT_ENROLLED = "Loading of module with unavailable key is rejected"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return keys.save(keys.generate("An owner"), tmp_path_factory.mktemp("key"))


def loads(steps: Sequence[RehearsalStep]) -> list[tuple[int | None, tuple[str, ...]]]:
    return [(step.errno, step.said) for step in steps if step.errno is not None]


def assert_whole_story(steps: Sequence[RehearsalStep]) -> None:
    assert all(step.ok for step in steps), steps
    unsigned, unknown, loaded, changed = loads(steps)
    assert unsigned == (errno.EKEYREJECTED, ("Loading of unsigned module is rejected",))
    assert unknown == (errno.EKEYREJECTED, (KEY_NOT_ENROLLED,))
    assert loaded[0] == 0
    assert loaded[1][-1] == "hello: loaded"
    assert not any("verification failed" in line for line in loaded[1])
    assert changed == (errno.EKEYREJECTED, ())
    (final,) = [step.what for step in steps if step.errno == 0]
    assert final.endswith("loads, taint O (out-of-tree module)")


def test_the_offline_rehearsal(kernel: KernelFiles) -> None:
    trial, known = secureboot.prepare(built("hello"), release=kernel.release)
    assert_whole_story(list(secureboot.rehearse(trial, known)))


@pytest.mark.full
def test_the_rehearsal_through_mokmanager(kernel: KernelFiles, key: KeyFiles) -> None:
    trial, known = secureboot.prepare(
        built("hello"), release=kernel.release, mok=str(key.der), key=str(key.private_key)
    )
    steps = list(secureboot.rehearse(trial, known, mokmanager=True))
    assert_whole_story(steps)
    assert [step.what for step in steps if step.what.startswith("MokManager")][3] == (
        "MokManager: “Enroll the key(s)?”: choose “Yes”: Down, Enter"
    )


def test_the_whole_table_behind_secure_boot(
    kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With an enrolled key the kernel tells apart what it cannot without."""
    shop = kept_workshop(kernel, tmp_path_factory)
    template = firmware.variable_template().read_bytes()
    store = variable_store.with_mok(template, certificate.load(shop.mok.der))
    profile = secure_boot.profile_of(find_kernel(kernel.release), store)
    opened = secure_boot.open_machine(profile)
    with Kernel(opened) as machine:
        for variant in (*shop.variants(), *shop.mok_variants()):
            check(machine, variant, Enforcement.SIGNATURES)
        # Its sha512 is a module, which the kernel asks for.
        longer = shop.signed(shop.hello, digest="sha512")
        opened.answer_requests(None)
        check(
            machine, Variant("sha512", longer, SignatureVerdict.UNSUPPORTED), Enforcement.SIGNATURES
        )
        opened.answer_requests(from_tree(kernel.root, kernel.release))
        check(machine, Variant("sha512", longer, SignatureVerdict.VALID), Enforcement.SIGNATURES)


def kept_workshop(kernel: KernelFiles, factory: pytest.TempPathFactory) -> Workshop:
    """Use the rehearsal's key as MOK, so that the machine's snapshot serves from run to run."""
    shop = workshop(factory.mktemp("keys"), kernel)
    signer = secureboot.rehearsal_key()
    pair = keys.KeyPair(signer.private_key, signer.certificate)
    kept = keys.save(pair, factory.mktemp("mok"))
    return Workshop(shop.folder, kept, shop.stranger, kernel)


@pytest.mark.parametrize("profile", secureboot.PROFILES)
def test_profiles_of_the_emulated_kernel(kernel: KernelFiles, profile: str) -> None:
    trial, known = secureboot.prepare(built("hello"), release=kernel.release)
    steps = list(secureboot.rehearse_profile(trial, known, "emulated", profile))
    assert all(step.ok for step in steps)
    expected = {"none": 0, "sig_enforce": errno.EKEYREJECTED, "lockdown": errno.EPERM}[profile]
    assert [number for number, _ in loads(steps)] == [expected, expected]


def test_a_module_signed_with_another_key_needs_the_private_key(key: KeyFiles) -> None:
    with pytest.raises(UsageError, match="is not signed with the key of “An owner”"):
        secureboot.prepare(built("hello"), mok=str(key.der))


def test_a_private_key_needs_its_certificate(key: KeyFiles) -> None:
    with pytest.raises(UsageError, match="--key needs its certificate"):
        secureboot.prepare(built("hello"), key=str(key.private_key))


def test_modules_it_needs_come_first(kernel: KernelFiles) -> None:
    path = kernel.modules / "kernel/drivers/net/dummy.ko"
    trial, _ = secureboot.prepare(path)
    assert trial.name == "dummy"
    vfat = kernel.modules / "kernel/fs/fat/vfat.ko"
    assert [path.name for path in secureboot.prepare(vfat)[0].needed] == ["fat.ko"]


def test_the_command_tells_each_step(kernel: KernelFiles) -> None:
    command = [sys.executable, "-m", "lkm", "secureboot", "rehearse", str(built("hello"))]
    command += ["--kernel", f"emulated:{kernel.release}", "--profile", "sig_enforce"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "ok   the module unsigned: refused, Key was rejected by service\n" in text
    assert f"     {KEY_NOT_ENROLLED}\n" in text
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    document = json.loads(printed.stdout)
    assert document["schema"] == "lkm.secureboot/1"
    assert [step["errno"] for step in document["steps"]] == [None, 129, 129]


@pytest.mark.parametrize("where", ["live", "emulated", "nowhere"])
def test_where_it_cannot_be_rehearsed(where: str) -> None:
    command = [sys.executable, "-m", "lkm", "secureboot", "rehearse", "--kernel", where]
    done = subprocess.run(
        [*command, str(Path(__file__))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "emulated takes a --profile" in done.stderr
