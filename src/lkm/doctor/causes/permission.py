"""Nobody, or not this caller, may load modules here; or not this one.

Source: ``kernel/module/main.c`` (may_init_module, blacklisted), ``modprobe.d(5)``.
"""

from __future__ import annotations

from errno import ENOSYS, EPERM

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def no_capability(*, container: str = "") -> Finding:
    """The caller lacks CAP_SYS_MODULE."""
    where = f" (this is a container: {container})" if container else ""
    fix = (
        Fix("load it on the host; a container should not load modules", ("sudo modprobe NAME",))
        if container
        else Fix("do it as root", ("sudo modprobe NAME",))
    )
    return Finding(
        "no-capability",
        Severity.FATAL,
        f"the caller may not load modules: it has no CAP_SYS_MODULE{where}",
        EPERM,
        fixes=(fix,),
    )


def no_module_support() -> Finding:
    """The kernel was built without CONFIG_MODULES: it has neither the calls nor /proc/modules."""
    return Finding(
        "no-module-support",
        Severity.FATAL,
        "this kernel was built without support for loadable modules (CONFIG_MODULES)",
        ENOSYS,
        evidence=(Evidence("/proc/modules", "missing", "/proc"),),
        fixes=(
            Fix(
                "try the module in a kernel that has it; nothing happens to this machine",
                ("lkm try MODULE.ko",),
            ),
        ),
    )


def modules_disabled() -> Finding:
    """kernel.modules_disabled is 1; only a reboot takes it back."""
    return Finding(
        "modules-disabled",
        Severity.FATAL,
        "loading modules was switched off until the next boot (kernel.modules_disabled = 1)",
        EPERM,
        evidence=(Evidence("kernel.modules_disabled", "1", "/proc/sys/kernel/modules_disabled"),),
        fixes=(
            Fix(
                "reboot, and load the module before whatever sets it",
                ("grep -rs modules_disabled /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d",),
            ),
        ),
    )


def not_permitted(module: str = "") -> Finding:
    """EPERM and nothing in the log: one of two."""
    return Finding(
        "not-permitted",
        Severity.FATAL,
        "the caller is not root or sits in a container without CAP_SYS_MODULE, "
        "or modules were switched off (kernel.modules_disabled = 1)",
        EPERM,
        module=module,
        fixes=(
            Fix(
                "see which it is",
                (
                    "grep CapEff /proc/self/status",
                    "cat /proc/sys/kernel/modules_disabled",
                    "cat /sys/kernel/security/lockdown",
                ),
            ),
        ),
    )


def denied(module: str) -> Finding:
    """EACCES: a security module, or the integrity policy, forbids it."""
    return Finding(
        "security-policy",
        Severity.FATAL,
        "the machine's security policy forbids the load: SELinux (module_load), IMA, or AppArmor",
        13,
        module=module,
        fixes=(
            Fix(
                "see what it logged",
                (
                    "sudo ausearch -m avc,integrity_data -ts recent",
                    "sudo dmesg | grep -i -e denied -e integrity",
                ),
            ),
        ),
    )


def kernel_blacklist(module: str) -> Finding:
    """``module_blacklist=`` on the kernel's command line."""
    return Finding(
        "kernel-blacklist",
        Severity.FATAL,
        "the kernel's command line forbids this module (module_blacklist=)",
        EPERM,
        f"Module {module} is blacklisted",
        module=module,
        evidence=(Evidence("module_blacklist=", module, "/proc/cmdline"),),
        fixes=(
            Fix(
                "take it out of the command line and reboot",
                (),
                Need.BOOT_OPTIONS,
            ),
        ),
    )


def config_blacklist(module: str, source: str, *, by_alias: bool) -> Finding:
    """A ``blacklist`` line: it stops aliases only, not the name itself."""
    return Finding(
        "modprobe-blacklist",
        Severity.FATAL if by_alias else Severity.NOTE,
        f"a blacklist line keeps {module} from being loaded by an alias"
        + ("" if by_alias else "; by its name it loads all the same"),
        module=module,
        evidence=(Evidence("rule", f"blacklist {module}", source),) if source else (),
        fixes=(
            Fix(
                "load it by its name, or take the line out",
                (f"sudo modprobe {module}",),
            ),
        ),
    )


def install_rule(module: str, command: str, source: str) -> Finding:
    """An ``install`` line takes the module's place."""
    blocked = command.strip().split(" ")[0].rpartition("/")[2] in ("true", "false", ":")
    return Finding(
        "install-rule",
        Severity.FATAL if blocked else Severity.NOTE,
        (
            f"a configuration line runs {command.strip()!r} instead of loading {module}"
            + (": it was switched off on purpose" if blocked else "")
        ),
        errno=0,
        module=module,
        evidence=(Evidence("rule", f"install {module} {command.strip()}", source),),
        fixes=(
            Fix(
                "take the line out, or pass it by this once",
                (f"sudo modprobe --ignore-install {module}",),
            ),
        ),
    )
