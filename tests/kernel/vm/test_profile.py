import dataclasses
from pathlib import Path

import pytest

from lkm.errors import NotFoundError, UsageError
from lkm.kernel.open import open_kernel
from lkm.kernel.vm.profile import Profile, cache_key
from lkm.kernels.choose import choose_bootable
from tests.support.kernels import KernelFiles


def _profile(kernel: KernelFiles) -> Profile:
    return Profile(kernel.release, kernel.vmlinuz, kernel.modules)


def test_key_changes_with_what_matters(kernel: KernelFiles) -> None:
    profile = _profile(kernel)
    other_kernel = kernel.root.parent / "6.1.0-56-rt-amd64/boot/vmlinuz-6.1.0-56-rt-amd64"
    keys = [
        cache_key(profile, "tcg", b"a"),
        cache_key(profile, "tcg", b"b"),
        cache_key(profile, "kvm", b"a"),
        cache_key(dataclasses.replace(profile, cpus=2), "tcg", b"a"),
        cache_key(dataclasses.replace(profile, memory=300), "tcg", b"a"),
        cache_key(dataclasses.replace(profile, command_line="x"), "tcg", b"a"),
        cache_key(dataclasses.replace(profile, vmlinuz=other_kernel), "tcg", b"a"),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(_profile(kernel), "tcg", b"a") == keys[0]


def test_impossible_machines() -> None:
    for wrong in ({"cpus": 0}, {"cpus": 65}, {"memory": 1}, {"memory": 1 << 20}):
        with pytest.raises(UsageError):
            Profile("r", Path("/v"), None, **wrong)  # type: ignore[arg-type]


def test_choice() -> None:
    assert choose_bootable("6.1.0-56-rt-amd64").release == "6.1.0-56-rt-amd64"
    with pytest.raises(NotFoundError):
        choose_bootable("1.2.3-none")
    for wrong in ("", "vmx", "live:6.1", "qemu"):
        with pytest.raises(UsageError, match="names no kernel"):
            open_kernel(wrong)
