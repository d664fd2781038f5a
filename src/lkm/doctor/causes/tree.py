"""modprobe does not find the module."""

from __future__ import annotations

from collections.abc import Sequence

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def directory_gone(release: str, directory: str, others: Sequence[str] = ()) -> Finding:
    """The running kernel's modules are gone: upgraded or removed, not rebooted."""
    evidence = [Evidence("missing", directory)]
    if others:
        evidence.append(Evidence("installed", ", ".join(others), "/lib/modules"))
    return Finding(
        "modules-gone",
        Severity.FATAL,
        f"the modules of the kernel {release} are not on this machine: it was upgraded or removed "
        "since boot, or this is a container",
        evidence=tuple(evidence),
        fixes=(
            Fix("reboot into the kernel that is installed", ("sudo reboot",)),
            Fix("or install this one's modules", (), Need.KERNEL, release),
        ),
    )


def not_indexed(module: str, path: str, release: str) -> Finding:
    """The file is there, but depmod was not run since."""
    return Finding(
        "not-indexed",
        Severity.FATAL,
        f"{module} is installed, but the index does not know it yet: depmod was not run",
        module=module,
        evidence=(Evidence("file", path),),
        fixes=(Fix("write the index again", (f"sudo depmod {release}",)),),
    )


def not_found(
    module: str,
    directory: str = "",
    *,
    release: str = "",
    nearest: Sequence[str] = (),
    elsewhere: Sequence[str] = (),
) -> Finding:
    """No module of that name for this kernel."""
    evidence = [Evidence("searched", directory)] if directory else []
    if nearest:
        evidence.append(Evidence("names like it", ", ".join(nearest)))
    if elsewhere:
        evidence.append(Evidence("there for the kernels", ", ".join(elsewhere)))
    kernel = release or "$(uname -r)"
    return Finding(
        "module-not-found",
        Severity.FATAL,
        f"there is no module {module} for this kernel: it was not built for it, is built in, "
        "or the name is wrong",
        module=module,
        subject=module,
        evidence=tuple(evidence),
        fixes=(
            Fix(
                "see whether it is built in, or has another name",
                (
                    f"grep {module} /lib/modules/{kernel}/modules.builtin",
                    f"find /lib/modules/{kernel} -name '*{module}*'",
                ),
            ),
            Fix("a module of DKMS: build it for this kernel", (), Need.DKMS, release),
            Fix(
                "a distribution's module: install the package with the rest of the modules",
                (),
                Need.MODULES,
                release,
            ),
            Fix(
                "where the kernel was upgraded since boot, the running one's modules may be "
                "gone: reboot",
                ("sudo reboot",),
                Need.REBOOT,
                release,
            ),
        ),
    )


def built_in(module: str, source: str = "") -> Finding:
    """It is part of the kernel image: nothing to load."""
    return Finding(
        "built-in",
        Severity.NOTE,
        f"{module} is built into the kernel: there is nothing to load or unload",
        module=module,
        evidence=(Evidence("listed in", source),) if source else (),
    )


def tool_not_on_path(tool: str) -> Finding:
    """The shell does not find the program: kmod is missing, or sbin is not on the path."""
    return Finding(
        "tool-missing",
        Severity.FATAL,
        f"the shell does not find {tool}: it lies in a folder that a user's PATH may lack "
        f"(/usr/sbin), or kmod is not "
        "installed, as in a container",
        subject=tool,
        fixes=(Fix("run it as root, with its path, or install kmod", (f"sudo /usr/sbin/{tool}",)),),
    )
