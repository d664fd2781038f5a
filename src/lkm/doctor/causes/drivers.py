"""What drivers and subsystems say when a module links well and then finds no work."""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENODEV, ENOENT, EOPNOTSUPP

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def _fatal(
    name: str,
    errno: int,
    cause: str,
    *fixes: Fix,
    module: str = "",
    subject: str = "",
    message: str = "",
) -> Finding:
    return Finding(name, Severity.FATAL, cause, errno, message, module, subject, (), fixes)


_FIRMWARE_SWITCH = Fix(
    "switch virtualisation on in the firmware's set-up (BIOS/UEFI: Intel VT-x or Virtualization "
    "Technology, AMD "
    "SVM Mode), then switch the machine off and on again"
)


def virtualisation_off(module: str, what: str) -> Finding:
    """KVM finds VT-x or SVM there, and locked by the firmware."""
    return _fatal(
        "virtualisation-off",
        EOPNOTSUPP,
        f"the firmware (BIOS/UEFI) has virtualisation switched off, so KVM does not load: {what}",
        _FIRMWARE_SWITCH,
        module=module,
        message=what,
    )


def virtualisation_missing(module: str, what: str) -> Finding:
    """The processor, or the virtual one a guest sees, has no VT-x or SVM."""
    return _fatal(
        "virtualisation-missing",
        EOPNOTSUPP,
        f"the processor has not what KVM needs, or a hypervisor does not pass it on: {what}",
        Fix(
            "see what it has; kvm_intel is for Intel, kvm_amd for AMD",
            ("grep -Eo -m1 'vmx|svm' /proc/cpuinfo",),
        ),
        Fix(
            "in a virtual machine: switch nested virtualisation on at the host",
            ("cat /sys/module/kvm_*/parameters/nested",),
        ),
        module=module,
        message=what,
    )


def hypervisor_in_use(module: str, what: str) -> Finding:
    """Another hypervisor has taken VT-x or SVM."""
    return _fatal(
        "hypervisor-in-use",
        EBUSY,
        f"another hypervisor uses the processor's virtualisation already: {what}",
        Fix(
            "end its machines and unload it (KVM, or VirtualBox)",
            (
                "sudo modprobe -r kvm_intel kvm_amd kvm",
                "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv",
            ),
        ),
        module=module,
    )


def bound_elsewhere(module: str, device: str, driver: str) -> Finding:
    """The device has another driver, which keeps it."""
    return _fatal(
        "device-taken",
        ENODEV,
        f"the device {device} belongs to the driver {driver} already, so {module or 'this one'} "
        f"finds none to drive"
        if device
        else f"its devices belong to the driver {driver} already, so {module or 'this one'} "
        f"finds none to drive",
        Fix(
            f"keep {driver} from loading, and make the initramfs anew, for it may load there; "
            f"then reboot",
            (
                f"printf 'blacklist {driver}\\ninstall {driver} /bin/false\\n' | sudo tee "
                f"/etc/modprobe.d/no-{driver}.conf",
            ),
            Need.INITRAMFS,
        ),
        Fix(
            "or unload it now, if nothing uses it",
            (f"sudo modprobe -r {driver}", f"sudo modprobe {module or 'MODULE'}"),
        ),
        module=module,
        subject=driver,
    )


def device_taken(module: str) -> Finding:
    """The NVIDIA driver was not asked for any device, without saying who has them."""
    return _fatal(
        "device-taken",
        ENODEV,
        "the devices belong to another driver (nouveau, vfio-pci, nvidiafb), or there are none",
        Fix("see who has them", ("lspci -nnk | grep -A3 -Ei 'vga|3d'",)),
        Fix("keep nouveau from loading, and make the initramfs anew; then reboot",
            ("printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee "
             "/etc/modprobe.d/no-nouveau.conf",),
            Need.INITRAMFS),
        module=module,
    )  # fmt: skip


def no_device(module: str, what: str) -> Finding:
    """The driver looked, and found nothing of its kind."""
    return _fatal(
        "no-device",
        ENODEV,
        f"the driver found no device it can drive: {what}",
        Fix("see which devices there are, and which driver each has", ("lspci -nnk", "lsusb -t")),
        module=module,
    )


def unsupported_device(module: str, device: str, what: str) -> Finding:
    """The driver knows the device and refuses it: too old, too new, another branch."""
    return _fatal(
        "device-unsupported",
        ENODEV,
        f"this version of the driver does not support the "
        f"device{' ' + device if device else ''}: {what}",
        Fix("take the version that does: an older branch for an older device, a newer for a "
            "newer; for NVIDIA the "
            "proprietary or the open kernel module as the device asks"),
        module=module,
    )  # fmt: skip


def version_mismatch(module: str, kernel: str, client: str) -> Finding:
    """The loaded module and the libraries are of two releases of one driver."""
    return _fatal(
        "driver-mismatch",
        EINVAL,
        f"the loaded kernel module is of version {kernel or '?'}, the libraries of "
        f"{client or '?'}: the driver was "
        "upgraded and the old module is still loaded, or still in the initramfs",
        Fix(
            "reboot; if it stays so, make the initramfs anew and build the module for this kernel",
            ("sudo reboot",),
            Need.INITRAMFS,
        ),
        module=module,
    )


def firmware_missing(module: str, file: str, errno: int = ENOENT) -> Finding:
    """request_firmware found no file of that name; many drivers try several."""
    return Finding(
        "firmware-missing",
        Severity.WARNING,
        f"the firmware {file} was not found (error -{errno or 2}): its package is not installed, "
        f"or the driver was loaded from an "
        "initramfs without it; harmless where the driver then takes an older version of the file",
        0,
        f"Direct firmware load for {file} failed with error -{errno or 2}",
        module=module,
        subject=file,
        evidence=(Evidence("looked for", f"/lib/firmware/{file}"),),
        fixes=(
            Fix("install the firmware (linux-firmware; Debian: firmware-linux-nonfree, "
                "firmware-iwlwifi, firmware-realtek, …)",
                (f"ls -l /lib/firmware/{file}*",)),
            Fix("where it is installed and loaded too early: make the initramfs anew", (),
                Need.INITRAMFS),
        ),
    )  # fmt: skip


def probe_failed(module: str, device: str, errno: int) -> Finding:
    """A driver is loaded, and its probe of one device failed."""
    from lkm.doctor.finding import name_of

    return Finding(
        "probe-failed",
        Severity.WARNING,
        f"the driver {module} is loaded, but could not take the device {device}: {name_of(errno)}",
        0,
        module=module,
        subject=device,
        evidence=(Evidence("errno", name_of(errno)),),
        fixes=(
            Fix(
                "read what it said of that device before",
                (f"sudo dmesg | grep -e {device} -e {module}",),
            ),
        ),
    )


def init_said(module: str, errno: int) -> Finding:
    """``initcall x returned -19``: the init function's own answer."""
    from lkm.doctor.causes import state

    return state.init_returned(module, errno)


def region_busy(module: str, region: str, owner: str = "") -> Finding:
    """An address range or port that the driver wants is claimed."""
    by = f" by {owner}" if owner else ""
    return _fatal(
        "resource-busy",
        EBUSY,
        f"an address range the driver needs ({region}) is claimed{by}: another driver has the "
        f"device, or ACPI does",
        Fix("see who has it", ("sudo cat /proc/iomem /proc/ioports | less",)),
        Fix(
            "a sensor chip that ACPI claims: take the driver for ACPI, or allow the conflict at "
            "your own risk",
            ("# kernel command line: acpi_enforce_resources=lax",),
        ),
        module=module,
        subject=region,
    )


def duplicate_driver(driver: str, bus: str = "") -> Finding:
    """A driver, class, device or file system of that name is registered."""
    where = f" on the bus {bus}" if bus else ""
    return _fatal(
        "already-registered",
        EBUSY,
        f"{driver} is registered already{where}: the same driver is built into the kernel, or "
        f"loaded under another name",
        Fix("see whether the kernel has it, and unload or leave out one of the two",
            (f"grep -e {driver} /lib/modules/$(uname -r)/modules.builtin", f"lsmod | grep -i "
                f"{driver}")),
        subject=driver,
    )  # fmt: skip


def suse_unsupported(module: str, *, fatal: bool) -> Finding:
    """SUSE's kernels know which modules SUSE supports; SLE refuses others unless told."""
    return Finding(
        "suse-unsupported",
        Severity.FATAL if fatal else Severity.NOTE,
        f"{module} is a module that SUSE does not support"
        + (
            ": modprobe refuses it on SUSE Linux Enterprise"
            if fatal
            else "; it loads, and sets taint bit 31: harmless"
        ),
        1 if fatal else 0,
        module=module,
        fixes=(
            Fix(
                "allow such modules, and make the initramfs anew",
                (
                    "echo 'allow_unsupported_modules 1' | sudo tee "
                    "/etc/modprobe.d/10-unsupported-modules.conf",
                ),
                Need.INITRAMFS,
            ),
        )
        if fatal
        else (),
    )


def hardware_removed(module: str, what: str) -> Finding:
    """RHEL says that a driver or device is not supported any more, or not yet."""
    return Finding(
        "rhel-support",
        Severity.NOTE,
        f"Red Hat does not support this hardware or driver in this release ({what}); it may load "
        f"all the same: harmless "
        "but for support",
        module=module,
        subject=what,
        fixes=(Fix("for removed drivers, a package of ELRepo (kmod-…) has them"),),
    )


def harmless(what: str, text: str, module: str = "") -> Finding:
    """A line that looks like an error and is none."""
    return Finding(
        "harmless",
        Severity.NOTE,
        f"harmless: {what}",
        0,
        module=module,
        evidence=(Evidence("line", text),),
    )


def needs_userspace(what: str) -> Finding:
    """A program lacks a module: its device, table or file system type is not there."""
    return _fatal(
        "module-wanted",
        ENOENT,
        what,
        Fix(
            "load the module it needs, and see why it was not",
            ("sudo modprobe NAME", "lkm doctor NAME"),
        ),
    )


def in_container(what: str) -> Finding:
    """Kernel modules belong to the host, not to a container."""
    return _fatal(
        "container",
        EOPNOTSUPP,
        f"this is a container, in which no modules can be loaded or built for its own: {what}",
        Fix("load the module on the host", ("sudo modprobe NAME",)),
    )


def sign_hint(modules: str) -> Finding:
    """An installer's advice, which it prints in any case."""
    from lkm.doctor.causes.signature import sign_and_enrol

    return Finding(
        "may-need-signature",
        Severity.NOTE,
        f"if Secure Boot is on, the modules {', '.join(modules.split())} have to be signed with "
        f"a key this machine trusts",
        module=modules.split(maxsplit=1)[0] if modules.split() else "",
        fixes=(sign_and_enrol(),),
    )


def kvm_unavailable(why: str) -> Finding:
    """A program wants KVM and there is no /dev/kvm, or it may not be opened."""
    if "ermission" in why:
        return _fatal(
            "kvm-permission",
            13,
            "the user may not open /dev/kvm",
            Fix("join the group that owns it, and log in anew", ('sudo usermod -aG kvm "$USER"',)),
            module="kvm",
        )
    return _fatal(
        "kvm-unavailable",
        ENOENT,
        "there is no /dev/kvm: kvm_intel or kvm_amd is not loaded, mostly because virtualisation "
        "is switched off in the "
        "firmware (BIOS/UEFI) or not passed on to this virtual machine",
        Fix(
            "load it, and see what it says",
            (
                "sudo modprobe kvm_intel || sudo modprobe kvm_amd",
                "sudo dmesg | grep -i kvm | lkm doctor --log -",
            ),
        ),
        _FIRMWARE_SWITCH,
        module="kvm",
    )


def gpu_failed(text: str) -> Finding:
    """The NVIDIA module is loaded and its GPU does not answer."""
    return Finding(
        "gpu-failed",
        Severity.WARNING,
        "the module is loaded, but the GPU did not start or stopped: another driver had it "
        "before (nouveau, VFIO), power or "
        "cooling fail, its firmware is missing, or driver and card do not fit",
        5,
        text,
        module="nvidia",
        fixes=(
            Fix(
                "switch the machine off and on; see what else the driver said",
                ("sudo dmesg | grep -e NVRM -e nvidia", "nvidia-bug-report.sh"),
            ),
            Fix("try the other kind of kernel module (proprietary or open), or another version"),
        ),
    )


def nomodeset(module: str, text: str) -> Finding:
    """nomodeset on the command line keeps graphics drivers out."""
    return _fatal(
        "nomodeset",
        EINVAL,
        "graphics drivers are switched off on the kernel's command line (nomodeset)",
        Fix("take nomodeset out, and reboot", (), Need.BOOT_OPTIONS),
        module=module,
        message=text,
    )


def runaway(module: str) -> Finding:
    """The kernel's requests for a module lead to further ones without end."""
    return _fatal(
        "request-loop",
        ENOENT,
        f"the kernel asks for {module} again and again: modprobe itself needs it, or an install "
        f"command asks for it",
        Fix(
            "see what the name means and which rule runs",
            (f"lkm why {module}", "cat /proc/sys/kernel/modprobe"),
        ),
        subject=module,
    )
