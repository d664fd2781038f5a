"""Target facts out of a running kernel, through the files it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lkm.doctor.offers import Offer
from lkm.doctor.target import (
    ImageFacts,
    LoadedAlready,
    Policy,
    Target,
    TreeFacts,
    loaded_offers,
)
from lkm.kernel.kernel import Kernel
from lkm.tree import command_line

_CAP_SYS_MODULE = 16


def read_kernel(kernel: Kernel, image: ImageFacts, tree: TreeFacts | None = None) -> Target:
    """Return ``kernel`` as a target; ``image`` are the facts of what it was booted from.

    ``tree`` tells what the loaded modules export and what else could be loaded.
    """
    loaded = {
        module.name: LoadedAlready(module.name, module.state, "P" in module.taints)
        for module in kernel.modules()
    }
    return Target(
        name=kernel.name,
        image=image,
        policy=read_policy(kernel),
        loaded=loaded,
        offers={**loaded_offers(loaded, tree), **_strangers_offers(kernel, loaded, tree)},
        tree=tree,
    )


_KALLSYMS = re.compile(r"^([0-9a-f]+) \w __ksymtab_(\S+)\t\[(\S+)\]$", re.MULTILINE)


def _strangers_offers(
    kernel: Kernel, loaded: Mapping[str, LoadedAlready], tree: TreeFacts | None
) -> dict[str, Offer]:
    """Return what loaded modules that are in no tree export, as /proc/kallsyms shows it.

    Without checksums and namespaces, which cannot be read. GPL-only ones are told by their place:
    the section ``__ksymtab_gpl`` lies after ``__ksymtab``.
    """
    strangers = set(loaded).difference(tree.modules if tree is not None else ())
    if not strangers:
        return {}
    starts = {name: _gpl_table(kernel, name) for name in strangers}
    return {
        symbol: Offer(bool(starts[owner]) and int(at, 16) >= starts[owner], "", None, owner)
        for at, symbol, owner in _KALLSYMS.findall(_text(kernel, "/proc/kallsyms"))
        if owner in strangers
    }


def _gpl_table(kernel: Kernel, module: str) -> int:
    """Return where the module's GPL-only exports begin; 0 where it has none, or it is hidden."""
    text = _text(kernel, f"/sys/module/{module}/sections/__ksymtab_gpl")
    return int(text, 16) if text else 0


def read_policy(kernel: Kernel) -> Policy:
    """Return what ``kernel`` lets its caller do; what cannot be read counts as allowed."""
    text = _text(kernel, "/proc/cmdline")
    return Policy(
        enforce=_text(kernel, "/sys/module/module/parameters/sig_enforce") == "Y",
        lockdown=_lockdown(_text(kernel, "/sys/kernel/security/lockdown")),
        modules_disabled=_text(kernel, "/proc/sys/kernel/modules_disabled") == "1",
        capable=capable(_text(kernel, "/proc/self/status")),
        container=_container(kernel),
        secure_boot=_secure_boot(kernel),
        blacklist=kernel_blacklist(text),
        key_ids=_key_ids(_text(kernel, "/proc/keys")),
    )


def kernel_blacklist(text: str) -> frozenset[str]:
    """Return the modules that ``module_blacklist=`` on a kernel command line forbids.

    The last one counts: it is a plain parameter (``core_param``).
    """
    values = [word for word in text.split() if word.startswith("module_blacklist=")]
    if not values:
        return frozenset()
    names = command_line.plain_lists(values[-1].encode(), b"module_blacklist")
    return frozenset(name.decode("utf-8", "replace") for name in names)


def _text(kernel: Kernel, path: str) -> str:
    try:
        return kernel.read_text(path).strip()
    except OSError:
        return ""


def _lockdown(text: str) -> str:
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else "none"


def capable(status: str) -> bool | None:
    """Whether a task with this /proc/PID/status has CAP_SYS_MODULE; ``None`` if it does not say."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(int(match[1], 16) >> _CAP_SYS_MODULE & 1) if match else None


def _container(kernel: Kernel) -> str:
    """Return what kind of container the caller sits in, "" for none."""
    for path, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if kernel.exists(path):
            return name
    environment = _text(kernel, "/proc/1/environ")
    match = re.search(r"(?:^|\0)container=([^\0]+)", environment)
    return match[1] if match else ""


_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def _secure_boot(kernel: Kernel) -> bool | None:
    """The variable's value follows four bytes of attributes."""
    try:
        data = kernel.read_file(_SECURE_BOOT)
    except OSError:
        return None
    return data[4:5] == b"\x01"


def _key_ids(text: str) -> frozenset[str]:
    """Return the ids of the keys in /proc/keys, as far as the caller may see them."""
    return frozenset(re.findall(r": ([0-9a-f]{40}): X509\.", text))
