"""Debian's own ``*-dkms`` packages, through ours and through dkms: the same modules or errors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lkm import files
from lkm.kernels.unpack import deb
from tests.support.dkms import Outcome, Pair, World, missing
from tests.support.kernels import KernelFiles

PACKAGES = (
    "acpi-call-dkms",
    "adv-17v35x-dkms",
    "apfs-dkms",
    "bbswitch-dkms",
    "dahdi-dkms",
    "ddcci-dkms",
    "digimend-dkms",
    "dm-writeboost-dkms",
    "dpdk-kmods-dkms",
    "evdi-dkms",
    "falcosecurity-scap-dkms",
    "gost-crypto-dkms",
    "iptables-netflow-dkms",
    "jool-dkms",
    "langford-dkms",
    "librem-ec-acpi-dkms",
    "lime-forensics-dkms",
    "lttng-modules-dkms",
    "nat-rtsp-dkms",
    "openafs-modules-dkms",
    "openrazer-driver-dkms",
    "openvpn-dco-dkms",
    "rapiddisk-dkms",
    "rtpengine-kernel-dkms",
    "tp-smapi-dkms",
    "v4l2loopback-dkms",
    "vpoll-dkms",
    "west-chamber-dkms",
    "xtables-addons-dkms",
    "xtrx-dkms",
)
_NAME = re.compile(r"(.+?)-([0-9].*)")
_ERROR = re.compile(r"[\w./-]+:\d+:(?:\d+:)? (?:fatal )?error: .*")


def _download(name: str) -> Path | None:
    """Return the folder a package is unpacked in, fetched once; ``None`` where Debian has none."""
    folder = files.cache_directory("dkms-packages", name)
    if not (folder / "usr/src").exists():
        command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        deb.unpack(folder.glob("*.deb"), folder)
    return folder


def _sources(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / "usr/src").glob("*/dkms.conf"))


def _name_and_version(source: str) -> tuple[str, str]:
    match = _NAME.fullmatch(source)
    assert match, source
    return match[1], match[2]


def _first_error(world: World, package: str) -> str:
    """Return the compiler's first complaint about a package that did not build."""
    for log in sorted((world.dkms_tree / package).rglob("make.log")):
        found = _ERROR.search(log.read_text(errors="replace"))
        if found:
            return (
                Path(found.group().partition(":")[0]).name + ":" + found.group().partition(":")[2]
            )
    return ""


def _modules(outcome: Outcome) -> list[str]:
    return sorted(path for path in outcome.files if "/updates/" in path and ".ko" in path)


@pytest.mark.full
@pytest.mark.parametrize("name", PACKAGES)
def test_a_debian_package(name: str, kernel: KernelFiles, tmp_path: Path) -> None:
    reason = missing()
    if reason:
        pytest.fail(reason)
    folder = _download(name)
    if folder is None:
        pytest.skip(f"{name}: no longer in this release")
    pair = Pair(tmp_path)

    def prepare(world: World) -> None:
        target = world.install_tree / kernel.release
        (target / "kernel").mkdir(parents=True)
        (target / "build").symlink_to(kernel.headers)
        for source in _sources(folder):
            command = ["cp", "-a", str(folder / "usr/src" / source), str(world.source_tree)]
            subprocess.run(command, check=True)

    pair.each(prepare)
    for source in _sources(folder):
        package, version = _name_and_version(source)
        theirs, ours = pair.run(
            "install", f"{package}/{version}", "-k", kernel.release, timeout=900
        )
        assert ours.status == theirs.status, (theirs.said, ours.said)
        assert _first_error(pair.ours, package) == _first_error(pair.theirs, package)
        assert _modules(ours) == _modules(theirs)
        if ours.status == 0:
            pair.agree("remove", f"{package}/{version}", "-k", kernel.release)
