"""Rules that do not count yet where modules are loaded first: in the initramfs, a copy made before.

initramfs-tools, dracut and mkinitcpio copy modprobe.d into the image; what changes afterwards
counts there once the image is made anew.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from lkm.doctor import distributions
from lkm.doctor.distribution_table import DISTRIBUTIONS
from lkm.doctor.finding import Need
from lkm.operations.lint.tree import LintFinding, LintSeverity, LintTree
from lkm.tree.config import Rule
from lkm.tree.resolver import Resolver

# Below kernel/ in a tree: what initramfs makers put in, for disks, file systems, screens and keys.
_EARLY = (
    "drivers/gpu", "drivers/video", "drivers/ata", "drivers/scsi", "drivers/nvme", "drivers/block",
    "drivers/md", "drivers/mmc", "drivers/usb/host", "drivers/usb/storage", "drivers/hid",
    "drivers/input", "drivers/virtio", "drivers/firmware", "drivers/message",
        "drivers/net/ethernet",
    "drivers/platform", "drivers/char/agp", "fs/", "crypto/", "arch/", "lib/", "updates", "extra",
)  # fmt: skip
_IMAGES = (
    "boot/initrd.img-{}", "boot/initramfs-{}.img", "boot/initrd-{}",
        "usr/lib/modules/{}/initramfs.img",
    "usr/lib/modules/{}/initrd", "boot/*/{}/initrd",
)  # fmt: skip


def is_early(resolver: Resolver, module: str) -> bool:
    """Whether an initramfs may hold the module, by where its file lies in the tree."""
    path = resolver.path_of(resolver.of_module(module))
    inside = path.removeprefix(f"{resolver.directory}/").removeprefix("kernel/") if path else ""
    return inside.startswith(_EARLY)


def image_of(resolver: Resolver) -> str:
    """Return the initramfs of the resolver's kernel, "" where none is known."""
    root = resolver.root
    patterns = [root.path(each.format(glob.escape(root.release))) for each in _IMAGES]
    if root.release.endswith(("-arch", "-ARCH")) or "-arch" in root.release:
        patterns.append(root.path("boot/initramfs-linux.img"))
    return next((found for pattern in patterns for found in sorted(glob.glob(pattern))), "")


def command_for(resolver: Resolver) -> str:
    """Return the command that makes the initramfs anew on such a machine."""
    host = distributions.host_of_release(resolver.root.release, DISTRIBUTIONS)
    known = host.distribution
    commands = known.commands.get(Need.INITRAMFS, ()) if known else ()
    return commands[0] if commands else "update-initramfs -u, dracut --force or mkinitcpio -P"


def is_newer(rule: Rule, image: str) -> bool:
    """Whether a rule's file was changed after the image was made."""
    try:
        return os.stat(rule.source.path).st_mtime > os.stat(image).st_mtime
    except OSError:
        return False


def stale(tree: LintTree) -> Iterator[LintFinding]:
    """Find rules for early modules whose files are newer than the initramfs."""
    image = image_of(tree.resolver)
    if not image:
        return
    for kind in ("blacklist", "options", "install", "alias", "softdep"):
        for rule in tree.written(kind):
            module = rule.value if kind == "alias" else rule.name
            if is_early(tree.resolver, module) and is_newer(rule, image):
                yield LintFinding(
                    "stale-initramfs", LintSeverity.WARNING, rule.source,
                    f"is newer than the initramfs {image}, which may load {module}: there it "
                    f"does not count yet",
                    command_for(tree.resolver),
                )  # fmt: skip
