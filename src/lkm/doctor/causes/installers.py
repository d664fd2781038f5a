"""What installers and indexers say: depmod, sign-file, VirtualBox, VMware, NVIDIA, dracut."""

from __future__ import annotations

from errno import ENOENT

from lkm.doctor.causes.signature import sign_and_enrol
from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def _fatal(
    name: str, cause: str, *fixes: Fix, module: str = "", subject: str = "", errno: int = 0
) -> Finding:
    return Finding(name, Severity.FATAL, cause, errno, module=module, subject=subject, fixes=fixes)


def depmod_unknown_symbol(module: str, path: str, symbol: str) -> Finding:
    """depmod finds nobody who exports a symbol; the load will fail with ENOENT."""
    weak = (
        ": it is a copy or link made for another kernel (weak-updates), which does not fit this one"
        if "/weak-updates/" in path
        else ""
    )
    return _fatal(
        "depmod-unknown-symbol",
        f"{module} needs the symbol {symbol}, which neither this kernel nor a module of its tree "
        f"exports{weak}: it "
        "will not load",
        Fix("build it for this kernel, or take a package made for it", (), Need.DKMS),
        Fix("a symbol of another module: install that, then run depmod again", ("sudo depmod -a",)),
        module=module,
        subject=symbol,
        errno=ENOENT,
    )


def depmod_symbol_version(module: str, symbol: str) -> Finding:
    """depmod finds the symbol with another checksum."""
    return _fatal(
        "depmod-symbol-version",
        f"{module} was built against another version of the symbol {symbol} than this tree's: it "
        f"will not load",
        Fix("build it for this kernel", (), Need.DKMS),
        module=module,
        subject=symbol,
    )


def depmod_cycle(chain: str) -> Finding:
    """Modules that need each other: none of them can be indexed."""
    return _fatal(
        "depmod-cycle",
        f"these modules need each other in a circle, so none of them can be loaded: {chain}",
        Fix(
            "two builds of one module are in the tree, mostly: remove the older",
            ("find /lib/modules/$(uname -r) -name '*.ko*' | grep -e updates -e extra",),
        ),
        subject=chain,
    )


def depmod_no_lists(file: str) -> Finding:
    """The kernel's own lists are missing in its folder: an incomplete installation."""
    return Finding(
        "tree-incomplete",
        Severity.WARNING,
        f"{file} is missing: the folder holds modules but not the kernel's own lists, as when "
        f"only a driver was "
        "installed for a kernel that is not there",
        subject=file,
        fixes=(
            Fix(
                "install the kernel's package, or remove the folder of a kernel that is gone",
                (),
                Need.KERNEL,
            ),
        ),
    )


def depmod_unwritable(what: str) -> Finding:
    """The index could not be written."""
    return _fatal(
        "depmod-unwritable",
        f"the index could not be written: {what}",
        Fix("run it as root, on a file system that can be written (an image-based system wants "
            "an overlay or a "
            "system extension)", ("sudo depmod -a",)),
    )  # fmt: skip


def not_signed(why: str, module: str = "") -> Finding:
    """sign-file had no key: the module is installed unsigned."""
    return Finding(
        "not-signed",
        Severity.WARNING,
        f"the module was not signed ({why}): it is installed unsigned. A kernel that wants "
        f"signatures refuses it "
        "(Secure Boot); any other loads it and sets taint E",
        module=module,
        fixes=(
            sign_and_enrol(),
            Fix("or make the key kbuild looks for, beside the headers (it must be enrolled, too)",
                ("openssl req -new -x509 -newkey rsa:2048 -keyout signing_key.pem -out "
                 "signing_key.x509 -days 3650 -nodes -subj /CN=modules/",)),
        ),
    )  # fmt: skip


def depmod_skipped(what: str) -> Finding:
    """modules_install did not run depmod; the module is not in the index."""
    return Finding(
        "depmod-skipped",
        Severity.WARNING,
        f"depmod was not run ({what}): modprobe does not know the new module yet",
        fixes=(Fix("write the index", ("sudo depmod -a",)),),
    )


def must_sign(modules: str) -> Finding:
    """VirtualBox's script refuses to load unsigned modules under Secure Boot."""
    names = ", ".join(modules.split())
    return _fatal(
        "signature-unsigned",
        f"Secure Boot is on, and the modules {names} are not signed with a key this machine trusts",
        sign_and_enrol(),
        Fix("or switch Secure Boot off in the firmware", ("sudo mokutil --disable-validation",)),
        module=modules.split(maxsplit=1)[0] if modules.split() else "",
        subject=modules,
        errno=129,
    )


def vboxdrv_missing() -> Finding:
    """VirtualBox runs without its kernel driver."""
    return _fatal(
        "driver-not-loaded",
        "VirtualBox's kernel module vboxdrv is not loaded: not built for this kernel, not signed "
        "(Secure Boot), or not "
        "started",
        Fix(
            "build and load it; its log says what failed",
            ("sudo /sbin/vboxconfig", "lkm doctor --log /var/log/vbox-setup.log"),
        ),
        module="vboxdrv",
    )


def vmware_missing(module: str) -> Finding:
    """VMware runs without its kernel modules."""
    return _fatal(
        "driver-not-loaded",
        f"VMware's kernel module {module} is not loaded: not built for this kernel, not signed "
        f"(Secure Boot), or not started",
        Fix(
            "build and install the modules for this kernel",
            ("sudo vmware-modconfig --console --install-all",),
        ),
        sign_and_enrol(),
        module=module,
    )


def script_failed(module: str, log: str = "") -> Finding:
    """A start script could not load its module; the kernel's log or its own says why."""
    return Finding(
        "see-kernel-log",
        Severity.FATAL,
        f"the script could not load {module or 'its module'}; the kernel's log, or its own, has "
        f"the line that tells why",
        0,
        module=module,
        fixes=(
            Fix(
                "read it",
                (
                    "sudo dmesg | tail -30 | lkm doctor --log -",
                    *((f"lkm doctor --log {log}",) if log else ()),
                ),
            ),
        ),
    )


def build_failed(log: str, module: str = "") -> Finding:
    """An installer could not build its module; its log has the compiler's message."""
    return Finding(
        "build-failed",
        Severity.FATAL,
        "the installer could not build its kernel module; the compiler's own message is in its log",
        module=module,
        evidence=(Evidence("log", log),),
        fixes=(Fix("read it", (f"lkm doctor --log {log}",)),),
    )


def unit_failed(unit: str) -> Finding:
    """systemd's service that loads modules failed; its own lines say which."""
    return Finding(
        "see-unit-log",
        Severity.FATAL,
        f"a module named in modules-load.d or on the command line could not be loaded ({unit} "
        f"failed)",
        fixes=(
            Fix(
                "see which, and why",
                ("journalctl -b -u systemd-modules-load -o cat | lkm doctor --log -",),
            ),
        ),
    )


def initramfs_module(module: str, release: str = "") -> Finding:
    """The initramfs was to hold a module that is not there."""
    return _fatal(
        "module-not-found",
        f"the initramfs is to hold the module {module}, which the kernel "
        f"{release or 'it is for'} does not have: not built for it, "
        "built in, or the name is wrong",
        Fix("build it for that kernel; then make the initramfs anew", (), Need.DKMS, release),
        Fix(
            "or take it out of what the initramfs is to hold (dracut.conf.d, mkinitcpio.conf, "
            "initramfs-tools/modules)"
        ),
        module=module,
        subject=module,
        errno=ENOENT,
    )


def install_command(module: str, command: str = "") -> Finding:
    """An ``install`` line's command failed."""
    return _fatal(
        "install-command",
        f"the command that a configuration line runs to load {module or 'a module'} failed"
        + (f": {command}" if command else ""),
        Fix(
            "see the line, and try without it",
            (
                f"lkm why {module or 'MODULE'}",
                f"sudo modprobe --ignore-install {module or 'MODULE'}",
            ),
        ),
        module=module,
    )


def bad_config_line(place: str, word: str) -> Finding:
    """modprobe does not understand a line of its configuration."""
    return Finding(
        "bad-config-line",
        Severity.WARNING,
        f"modprobe does not understand a line of its configuration, which begins with {word!r}, "
        f"and leaves it out",
        evidence=(Evidence("at", place),),
        fixes=(
            Fix("see what is allowed there, and check the rest", ("man modprobe.d", "lkm lint")),
        ),
    )


def alternative_loaded(module: str) -> Finding:
    """An installer finds its module loaded, and in use."""
    return _fatal(
        "already-loaded",
        f"{module} is loaded already, and has to be unloaded before another version of it",
        Fix(
            "end what uses it (the display server, containers), and unload it",
            (f"lkm doctor {module} --in-use", f"sudo modprobe -r {module}"),
        ),
        module=module,
    )


def enrolment(what: str) -> Finding:
    """mokutil could not ask for the key to be enrolled."""
    return _fatal(
        "enrolment",
        f"the key could not be handed to the firmware: {what}",
        Fix("see whether the machine has EFI and Secure Boot at all; without it signatures "
            "matter only to a kernel told to "
            "enforce them", ("mokutil --sb-state", "ls /sys/firmware/efi")),
    )  # fmt: skip


def unreadable(path: str, why: str) -> Finding:
    """depmod cannot read a module: it is damaged, or packed in a way this depmod does not know."""
    return _fatal(
        "damaged-file",
        f"depmod cannot read {path} ({why}): it is damaged, or compressed in a way this kmod was "
        f"built without",
        Fix("get the file again", (), Need.REINSTALL, path),
        Fix("see what this kmod can unpack", ("kmod --version",)),
        subject=path,
    )


def root_missing() -> Finding:
    """The initramfs finds no root file system: the driver of its disk is not there."""
    return _fatal(
        "root-not-found",
        "the root file system was not found at boot: the module of its disk, or of its file "
        "system, is not in the initramfs, or root= names "
        "another device",
        Fix("boot the kernel before, and make the initramfs anew", (), Need.INITRAMFS),
        errno=ENOENT,
    )
