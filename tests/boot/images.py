"""Initramfs images: written member by member, and made by the distributions' own generators."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lkm.kernel import cpio
from tests.support.kernels import KernelFiles

_INITRAMFS_TOOLS = """
set -e
mount -t tmpfs modules /lib/modules
mkdir /lib/modules/$RELEASE
mount --bind "$MODULES" /lib/modules/$RELEASE
mount -t tmpfs boot /boot
cp "$CONFIG" /boot/config-$RELEASE
exec mkinitramfs -d "$FOLDER" -o "$IMAGE" $RELEASE
"""


def packed(data: bytes, *command: str) -> bytes:
    """Return ``data`` packed by a program, as generators do."""
    assert shutil.which(command[0]), f"install {command[0]}: apt-get install xz-utils zstd lz4 lzop"
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def small(*names: str) -> bytes:
    """Return an archive of small files."""
    return cpio.archive([cpio.regular(name, name.encode()) for name in names])


def by_initramfs_tools(
    kernel: KernelFiles, folder: Path, modules: str = "list", listed: str = "loop\next4\n"
) -> Path:
    """Return an image of the kernel's modules made by the real mkinitramfs, as on Debian.

    It takes modules from /lib/modules alone: a mount namespace puts the fetched ones there.
    """
    assert shutil.which("mkinitramfs"), "apt-get install initramfs-tools-core"
    settings = folder / "initramfs-tools"
    shutil.copytree("/etc/initramfs-tools", settings)
    text = (settings / "initramfs.conf").read_text()
    text = text.replace("MODULES=most", f"MODULES={modules}")
    (settings / "initramfs.conf").write_text(text.replace("COMPRESS=zstd", "COMPRESS=gzip"))
    (settings / "modules").write_text(listed)
    image = folder / f"initrd.img-{kernel.release}"
    environment = {
        **os.environ,
        "RELEASE": kernel.release,
        "MODULES": str(kernel.modules),
        "CONFIG": str(kernel.root / f"boot/config-{kernel.release}"),
        "FOLDER": str(settings),
        "IMAGE": str(image),
    }
    subprocess.run(["unshare", "-m", "sh", "-c", _INITRAMFS_TOOLS], env=environment, check=True)
    return image


def by_dracut(kernel: KernelFiles, folder: Path, drivers: str = "loop ext4") -> Path:
    """Return an image of the kernel's modules made by the real dracut."""
    assert shutil.which("dracut"), "apt-get install dracut-core"
    image = folder / f"initramfs-{kernel.release}.img"
    command = ["dracut", "--force", "--no-hostonly", "--kver", kernel.release]
    command += ["--kmoddir", str(kernel.modules), "-m", "base", "--drivers", drivers]
    command += ["--tmpdir", str(folder), "--no-early-microcode", "--gzip", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert image.exists(), done.stderr
    return image
