"""What depmod, initramfs makers and the installers of VirtualBox, VMware, NVIDIA, ZFS print."""

from __future__ import annotations

import re

from lkm.doctor.causes import drivers, installers, signature, tree
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import LogRule, rule
from lkm.module.image import name_of

_KO = r"(?P<p>\S{1,400}\.ko(?:\.(?:gz|xz|zst))?)"


def _depmod_symbol(m: re.Match[str]) -> Finding:
    return installers.depmod_unknown_symbol(name_of(m["p"]), m["p"], m["s"])


DEPMOD = (
    rule("needs unknown symbol", rf"{_KO} needs unknown symbol (?P<s>[\w.$]{{1,512}})", _depmod_symbol),
    rule("needs", rf"{_KO} needs (?P<o>\S{{1,300}})?: ?(?P<s>[\w.$]{{1,512}})$", _depmod_symbol, general=True),
    rule("disagrees about version of symbol", rf"{_KO} disagrees about version of symbol (?P<s>[\w.$]{{1,512}})",
         lambda m: installers.depmod_symbol_version(name_of(m["p"]), m["s"])),
    rule("cycle detected", r"Cycle detected: (?P<c>[^\n]{1,600})", lambda m: installers.depmod_cycle(m["c"])),
    rule("dependency cycles", r"Found \d{1,6} modules in dependency cycles", lambda m: installers.depmod_cycle("see the lines before"), general=True),
    rule("could not open modules.", r"could not open (?P<f>modules\.\w{1,20}(?:\.\w{1,10})?) at (?P<d>\S{1,300})", lambda m: installers.depmod_no_lists(m["f"])),
    rule("depmod", r"depmod: ERROR: (?P<w>openat\([^\n]{1,300}: [^\n]{1,80})", lambda m: installers.depmod_unwritable(m["w"])),
    rule("depmod", r"depmod: (?:ERROR|FATAL)[^\n]{0,80}could not (?:search modules|open directory) '?(?P<d>/\S{0,300}lib/modules/[^/'\s:]{1,128})",
         lambda m: tree.directory_gone(m["d"].rstrip("/").rpartition("/")[2], m["d"])),
    rule("bad version passed", r"depmod: ERROR: Bad version passed (?P<v>\S{1,100})", lambda m: tree.directory_gone(m["v"], f"/lib/modules/{m['v']}")),
    rule("failed to load symbols", rf"failed to load symbols from {_KO}: (?P<e>[^\n]{{1,100}})", lambda m: installers.unreadable(m["p"], m["e"])),
    rule("same module name", r"(?:WARNING|Ignoring): [^\n]{0,60}(?:same|duplicate) module name", lambda m: drivers.harmless("the one in the higher folder is used (depmod.d search)", m[0])),
)  # fmt: skip

INITRAMFS = (
    rule("dracut", r"dracut(?:-install|\[\w\])?[^\n]{0,40}: (?:ERROR: |\*E\* )?Failed to (?:find|install) module '?(?P<m>[\w-]{1,64})'?", lambda m: installers.initramfs_module(m["m"])),
    rule("dracut-install", r"dracut-install{any}FAILED: {any} -m (?P<m>[\w-]{1,64})|dracut{any}FAILED:{any} --kerneldir (?P<d>\S{1,200}) (?:-m )?(?P<n>[\w-]{1,64})$",
         lambda m: installers.initramfs_module(m["m"] or m["n"])),
    rule("module not found", r"==> ERROR: module not found: [`'](?P<m>[\w-]{1,64})'", lambda m: installers.initramfs_module(m["m"])),
    rule("missing firmware", r"(?:W: )?[Pp]ossibl[ey] missing firmware[^\n]{1,200}", lambda m: drivers.harmless("firmware for devices this machine may not have; it matters only for one that it has", m[0])),
    rule("unknown-block", r"Unable to mount root fs on unknown-block", lambda _: installers.root_missing()),
    rule("does not exist", r"ALERT! +\S{1,200} does not exist\.? +Dropping to a shell", lambda _: installers.root_missing()),
    rule("dracut-initqueue", r"dracut-initqueue[^\n]{0,80}(?:timeout|Could not boot)", lambda _: installers.root_missing()),
    rule("unable to find root device", r"ERROR: (?:device '[^']{1,200}' not found|Unable to find root device)", lambda _: installers.root_missing()),
)  # fmt: skip

HYPERVISORS = (
    rule("must sign these kernel modules", r"You must sign these kernel modules before using VirtualBox(?P<rest>:?)", lambda _: installers.must_sign("vboxdrv vboxnetflt vboxnetadp")),
    rule("may need to sign the", r"you may need to sign the$|sign the kernel modules \((?P<l>[\w, ]{1,200})\)", lambda m: drivers.sign_hint((m["l"] or "vboxdrv").replace(",", " ")), general=True),
    rule("kernel modules (", r"kernel modules \((?P<l>vbox[\w, ]{1,200})\) before you can load", lambda m: drivers.sign_hint(m["l"].replace(",", " ")), general=True),
    rule("vboxdrv", r"The character device /dev/vboxdrv does not exist", lambda _: installers.vboxdrv_missing()),
    rule("kernel driver not installed", r"Kernel driver not installed \(rc=-?\d{1,5}\)", lambda _: installers.vboxdrv_missing(), general=True),
    rule("vboxdrv", r"(?:vboxdrv|vboxadd)(?:\.sh)?: failed: modprobe (?P<m>\w{1,64}) failed", lambda m: installers.script_failed(m["m"], "/var/log/vbox-setup.log"), general=True),
    rule("look at /var/log", r"Look at (?P<l>/var/log/\S{1,100}?) to find out what went wrong", lambda m: installers.build_failed(m["l"], "vboxdrv")),
    rule("problems setting up virtualbox", r"There were problems setting up VirtualBox", lambda _: installers.vboxdrv_missing(), general=True),
    rule("vmx_in_vmx_root_mode", r"VERR_(?:VMX_IN_VMX_ROOT_MODE|SVM_IN_USE)", lambda m: drivers.hypervisor_in_use("vboxdrv", m[0])),
    rule("is being used by another hypervisor", r"(?:VT-x|AMD-V) is being used by another hypervisor", lambda m: drivers.hypervisor_in_use("vboxdrv", m[0])),
    rule("vmx_disabled", r"VERR_(?:VMX_MSR_\w{1,30}(?:DISABLED|LOCKED)\w{0,20}|SVM_DISABLED|VMX_NO_VMX|SVM_NO_SVM)", lambda m: drivers.virtualisation_off("vboxdrv", m[0])),
    rule("/dev/vm", r"Could not open /dev/(?P<m>vmmon|vmnet\d?|vmci)", lambda m: installers.vmware_missing("vmmon" if m["m"] != "vmnet0" else "vmnet")),
    rule("kernel module `vm", r"make sure that the kernel module [`'](?P<m>vmmon|vmnet|vmci)' is loaded", lambda m: installers.vmware_missing(m["m"]), general=True),
    rule("virtual machine monitor", r"Virtual machine monitor\s{0,80}\[?\**\s?(?:failed|FAILED|FEHLGESCHLAGEN|ÉCHOU\w{0,3}|FALHOU)", lambda _: installers.vmware_missing("vmmon")),
    rule("virtual ethernet", r"Virtual ethernet\s{0,80}\[?\**\s?(?:failed|FAILED|FEHLGESCHLAGEN)", lambda _: installers.vmware_missing("vmnet"), general=True),
    rule("failed to build vm", r"Failed to build (?P<m>vmmon|vmnet)|Unable to (?:install|build) all modules", lambda m: installers.build_failed("/tmp/vmware-root/*.log", m["m"] or "vmmon")),
    rule("kvm kernel module", r"(?:[Cc]ould not access|failed to access) KVM kernel module: (?P<e>[^\n]{1,80})", lambda m: drivers.kvm_unavailable(m["e"])),
    rule("/dev/kvm", r"/dev/kvm(?: does not exist|: No such file|{any}not found)|KVM acceleration can NOT be used|failed to open /dev/kvm", lambda m: drivers.kvm_unavailable("No such file or directory")),
    rule("kvm_intel", r"HINT: +sudo modprobe (?P<m>kvm_intel|kvm_amd)", lambda m: drivers.kvm_unavailable("No such file or directory"), general=True),
)  # fmt: skip

NVIDIA = (
    rule("nvidia.ko'", r"Unable to load the kernel module '(?P<m>nvidia[\w-]{0,20})\.ko'", lambda m: installers.script_failed(m["m"], "/var/log/nvidia-installer.log"), general=True),
    rule("unable to load the", r"Unable to load the kernel module '(?P<m>[\w-]{1,64})\.ko'", lambda m: installers.script_failed(m["m"]), general=True),
    rule("unable to build", r"(?:Unable to build|An error occurred while performing the step: \"Building kernel modules\"|error: Failed to (?:run|install) `?\S{0,30}dkms)[^\n]{0,200}", lambda _: installers.build_failed("/var/log/nvidia-installer.log", "nvidia")),
    rule("appears to already be loaded", r"(?:kernel module|driver) '?(?P<m>nvidia[\w-]{0,20})'? appears to (?:be already|already be) loaded", lambda m: installers.alternative_loaded(m["m"])),
    rule("nouveau kernel driver is currently in use", r"Nouveau kernel driver is currently in use", lambda _: drivers.bound_elsewhere("nvidia", "", "nouveau")),
    rule("couldn't communicate with the nvidia driver", r"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", lambda _: installers.script_failed("nvidia", "/var/log/nvidia-installer.log"), general=True),
    rule("version mismatch", r"Failed to initialize NVML: Driver/library version mismatch", lambda _: drivers.version_mismatch("nvidia", "", "")),
    rule("secure boot", r"(?:kernel module|module) failed to load[^\n]{0,80}Secure [Bb]oot", lambda _: signature.rejected("unsigned", "nvidia")),
    rule("kernel module failed to load", r"kernel module failed to load(?: because it was not signed)?", lambda m: signature.rejected("unsigned") if "signed" in m[0] else installers.script_failed("nvidia", "/var/log/nvidia-installer.log")),
    rule("zfs modules are not loaded", r"The (?P<m>ZFS|SPL) modules (?:are not loaded|cannot be auto-loaded)", lambda m: installers.script_failed(m["m"].lower())),
    rule("do you need to insmod", r"(?P<t>ip6?tables|ebtables)[^\n]{0,120}\(do you need to insmod\?\)", lambda m: drivers.needs_userspace(f"{m['t']} finds no table of the kernel: its module (ip_tables, iptable_nat, nf_tables) is not loaded or not there")),
    rule("unknown filesystem type", r"unknown filesystem type '(?P<f>[\w.-]{1,40})'", lambda m: drivers.needs_userspace(f"the kernel knows no file system {m['f']}: its module is not loaded, or not there for this kernel")),
    rule("unable to access interface", r"Unable to access interface: Protocol not supported|RTNETLINK answers: Operation not supported|Error: Unknown device type", lambda m: drivers.needs_userspace("the kernel knows no network device of that type: its module (wireguard, bridge, ifb, …) is not loaded, or not there for this kernel")),
)  # fmt: skip

INSTALLERS: tuple[LogRule, ...] = (*DEPMOD, *INITRAMFS, *HYPERVISORS, *NVIDIA)
