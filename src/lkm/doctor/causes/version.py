"""Built for another kernel, or for another configuration of this one.

Source: ``kernel/module/main.c: check_modinfo``, ``kernel/module/version.c``,
``kernel/bpf/btf.c: btf_module_notify``.
"""

from __future__ import annotations

import re
import shlex
from errno import EINVAL, ENOEXEC
from pathlib import PurePath

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity
from lkm.module.image import name_of

_TREE = re.compile(r"/lib/modules/(?P<release>[^/\s]{1,128})/(?P<place>[^\s]{1,4000})")


def rebuild(release: str = "", path: str = "") -> Fix:
    """Return the fix for everything that was built against another kernel.

    A file in a module tree has no source beside it: one of the distribution comes with its kernel,
    one of DKMS is built by DKMS.
    """
    kernel = release or "$(uname -r)"
    place = _TREE.search(path)
    if place is None:
        folder = shlex.quote(str(PurePath(path).parent)) if path else "$PWD"
        return Fix(
            "build it again against this kernel's headers",
            (f"make -C /lib/modules/{kernel}/build M={folder} modules",),
            Need.HEADERS,
            release,
        )
    if place["place"].startswith("kernel/"):
        return Fix(
            f"it came with the kernel {place['release']}: take the one of the kernel that is to "
            f"load it "
            f"(its package, if it has the module), or boot {place['release']}",
            (f"find /lib/modules/{kernel} -name {shlex.quote(name_of(path) + '.ko*')}",),
            Need.KERNEL,
            release,
        )
    return Fix("have DKMS, or what installed it, build it for this kernel", (), Need.DKMS, release)


def _words(text: str) -> list[str]:
    return text.split()[1:]


def vermagic(
    module: str, found: str, expected: str, *, path: str = "", compares_release: bool = False
) -> Finding:
    """The version magic differs in a word that is compared.

    With MODVERSIONS the first word, the release, is not compared; the others say SMP, the
    preemption model, and what else changes the layout of structures.
    """
    ours, theirs = set(_words(found)), set(_words(expected))
    lines = [Evidence("the module says", found, path), Evidence("the kernel says", expected)]
    if missing := sorted(theirs - ours):
        lines.append(Evidence("words it lacks", " ".join(missing)))
    if extra := sorted(ours - theirs):
        lines.append(Evidence("words the kernel has not", " ".join(extra)))
    release, built_for = expected.split(" ", 1)[0], found.split(" ", 1)[0]
    # Kernels compare the release only where symbols have no versions; if all else is the same,
    # it is the release that was refused.
    other_release = built_for != release and (compares_release or ours == theirs)
    why = (
        f"for the release {built_for}, not {release}"
        if other_release
        else "with another kernel configuration"
    )
    fixes = [rebuild(release, path)]
    if built_for != release:
        boot = Fix(
            f"boot the kernel it was built for, {built_for}: where that was installed by an "
            f"upgrade, a "
            "reboot is pending",
            ("sudo reboot",),
        )
        fixes.insert(0 if other_release else 1, boot)
    return Finding(
        "vermagic",
        Severity.FATAL,
        f"the module was built {why}: the version magic differs",
        ENOEXEC,
        f"{module}: version magic '{found}' should be '{expected}'",
        module=module,
        evidence=tuple(lines),
        fixes=tuple(fixes),
    )


def no_vermagic(module: str, can_force: bool) -> Finding:
    """Without a version magic the load counts as forced."""
    return Finding(
        "no-vermagic",
        Severity.WARNING if can_force else Severity.FATAL,
        "the module has no version magic, which the kernel takes as a forced load",
        0 if can_force else ENOEXEC,
        f"{module}: bad vermagic: kernel tainted." if can_force else "",
        module=module,
        fixes=(rebuild(),),
    )


def module_layout(
    module: str,
    wanted: int | None = None,
    have: int | None = None,
    *,
    release: str = "",
    path: str = "",
) -> Finding:
    """The checksum over struct module differs: other headers, or another configuration."""
    return Finding(
        "module-layout",
        Severity.FATAL,
        "the module was built against the headers of another kernel or configuration: "
        "the kernel's own structures differ",
        ENOEXEC,
        f"{module}: disagrees about version of symbol module_layout",
        module=module,
        subject="module_layout",
        evidence=crc_evidence(wanted, have),
        fixes=(rebuild(release, path),),
    )


def crc_evidence(wanted: int | None, have: int | None) -> tuple[Evidence, ...]:
    """Return both checksums side by side, those that are known."""
    found = []
    if wanted is not None:
        found.append(Evidence("checksum the module wants", f"{wanted:#010x}"))
    if have is not None:
        found.append(Evidence("checksum the symbol has", f"{have:#010x}"))
    return tuple(found)


def struct_size(
    module: str,
    size: int | None = None,
    expected: int | None = None,
    *,
    release: str = "",
    path: str = "",
) -> Finding:
    """``struct module`` has another size than the running kernel's (checked since 6.3)."""
    evidence = []
    if size is not None:
        evidence.append(Evidence("struct module in the file", f"{size} bytes"))
    if expected is not None:
        evidence.append(Evidence("struct module in the kernel", f"{expected} bytes"))
    return Finding(
        "struct-module-size",
        Severity.FATAL,
        "the module was built with another configuration or compiler: struct module differs",
        ENOEXEC,
        f"module {module}: .gnu.linkonce.this_module section size must match the kernel's built "
        "struct module size at run time",
        module=module,
        evidence=tuple(evidence),
        fixes=(rebuild(release, path),),
    )


def btf(
    module: str,
    errno: int = EINVAL,
    *,
    fatal: bool = True,
    what: str = "",
    release: str = "",
    path: str = "",
) -> Finding:
    """Its type data does not fit the kernel's: made against another vmlinux.

    With MODULE_ALLOW_BTF_MISMATCH the kernel loads it, without the type data.
    """
    return Finding(
        "btf",
        Severity.FATAL if fatal else Severity.WARNING,
        "the module's BTF type data was made against another vmlinux"
        + ("" if fatal else ": it loads, but BPF programs find no types in it"),
        errno if fatal else 0,
        f"failed to validate module [{module}] BTF: -{errno}",
        module=module,
        evidence=(Evidence("against this kernel's types", what, path),) if what else (),
        fixes=(
            rebuild(release, path),
            Fix(
                "or leave the type data away, which only BPF programs miss, and sign it again "
                "if it was signed",
                (f"objcopy --remove-section .BTF {shlex.quote(path or f'{module}.ko')}",),
            ),
        ),
    )


def forced(module: str, what: str) -> Finding:
    """A check was skipped by force; the kernel is tainted and anything may follow."""
    return Finding(
        "forced-load",
        Severity.WARNING,
        f"the load was forced past a check ({what}): the module may corrupt memory",
        0,
        f"{module}: {what}: kernel tainted.",
        module=module,
        fixes=(rebuild(),),
    )


def no_retpoline(module: str) -> Finding:
    """Not built with retpolines; today only a warning."""
    return Finding(
        "retpoline",
        Severity.WARNING,
        "the module was built without retpolines: a Spectre v2 hole, though it loads",
        0,
        f"{module}: loading module not compiled with retpoline compiler.",
        module=module,
        fixes=(rebuild(),),
    )
