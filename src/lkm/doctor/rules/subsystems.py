"""What subsystems and drivers log when a module that links well finds no work: KVM, NVIDIA, PCI, firmware, ACPI."""

from __future__ import annotations

import re
from dataclasses import replace

from lkm.doctor.causes import drivers, permission
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import LogRule, rule


def _kvm_module(text: str) -> str:
    lowered = text.lower()
    if "svm" in lowered or "amd" in lowered:
        return "kvm_amd"
    if "vmx" in lowered or "vt-x" in lowered or "intel" in lowered:
        return "kvm_intel"
    return ""


def _off(m: re.Match[str]) -> Finding:
    return drivers.virtualisation_off(_kvm_module(m[0]), m[0].strip())


def _missing(m: re.Match[str]) -> Finding:
    return drivers.virtualisation_missing(_kvm_module(m[0]), m[0].strip())


def _number(m: re.Match[str], group: str = "e") -> int:
    return abs(int(m[group])) if m[group] else 0


def _denied(text: str) -> Finding:
    """Return the finding for a load that a security module denied."""
    return replace(permission.denied(""), message=text[:300])


SUBSYSTEMS: tuple[LogRule, ...] = (
    # KVM (arch/x86/kvm)
    rule("disabled by bios", r"(?:kvm[\w ()-]{0,40}: )?(?:kvm: )?disabled by bios", _off),
    rule("not enabled (by bios)", r"(?:kvm[\w-]{0,10}: )?(?:VMX|SVM)[\w ]{0,20} not enabled \(by BIOS\)", _off),
    rule("disabled (by bios)", r"(?:VMX|SVM|VT-x)[\w ]{0,40}disabled \(by BIOS\)", _off),
    rule("disabled", r"kvm[\w-]{0,10}: (?:SVM|VMX|virtualization)[\w ]{0,40}(?:disabled|not enabled)[^\n]{0,80}", _off),
    rule("no hardware support", r"kvm(?:_intel|_amd)?: (?:no hardware support|VMX not supported|SVM not supported|CPU \d{1,5}? ?(?:does not|doesn't) support)[^\n]{0,80}", _missing),
    rule("not supported by cpu", r"(?:kvm[\w-]{0,10}: )?(?:VMX|SVM) not supported by CPU[^\n]{0,40}", _missing),
    rule("kvm_", r"{m}: (?:EPT|VMX|NPT|nrips)[^\n]{0,40} (?:required|missing|not supported)[^\n]{0,80}", lambda m: drivers.virtualisation_missing(m["m"], m[0])),
    rule("already loaded the other module", r"kvm: already loaded (?:the other module|vendor module)", lambda m: drivers.hypervisor_in_use("", m[0])),
    rule("hyp mode not available", r"kvm \[\d{1,5}\]: (?:HYP mode not available|[^\n]{0,60}not available)", lambda m: drivers.virtualisation_missing("kvm", m[0])),
    # NVIDIA
    rule("already bound to", r"NVRM: GPU (?P<d>[0-9a-f:.]{7,16}) is already bound to (?P<o>[\w-]{1,64})", lambda m: drivers.bound_elsewhere("nvidia", m["d"], m["o"])),
    rule("probe routine was not called", r"NVRM: The NVIDIA probe routine was not called", lambda _: drivers.device_taken("nvidia"), general=True),
    rule("supported by open", r"NVRM: installed in this system is not supported by open|not supported by open nvidia\.ko", lambda m: drivers.unsupported_device("nvidia", "", "it is older than the open kernel module supports (no GSP)")),
    rule("installed in this", r"NVRM: The NVIDIA [^\n]{0,60}GPU (?:installed in this|at )[^\n]{0,200}", lambda m: drivers.unsupported_device("nvidia", "", m[0]), general=True),
    rule("legacy", r"NVRM: [^\n]{0,80}(?:supported through the NVIDIA|NVIDIA) (?P<v>[\d.xX]{1,12}) Legacy", lambda m: drivers.unsupported_device("nvidia", "", f"it needs the legacy driver {m['v']}")),
    rule("no nvidia", r"NVRM: No NVIDIA (?:graphics adapter|GPU|devices?) (?:found|probed)", lambda m: drivers.no_device("nvidia", m[0]), general=True),
    rule("none of the nvidia", r"NVRM: None of the NVIDIA (?:devices|graphics adapters) were (?:probed|initialized)", lambda m: drivers.no_device("nvidia", m[0]), general=True),
    rule("api mismatch", r"NVRM: API mismatch: the client[^\n]{0,20} has the version (?P<c>[\d.]{1,20})[^\n]{0,60}(?:version (?P<k>[\d.]{1,20}))?", lambda m: drivers.version_mismatch("nvidia", m["k"] or "", m["c"])),
    rule("rminitadapter failed", r"NVRM:[^\n]{0,80}RmInitAdapter failed", lambda m: drivers.gpu_failed(m[0])),
    rule("fallen off the bus", r"NVRM: [^\n]{0,80}GPU has fallen off the bus", lambda m: drivers.gpu_failed(m[0])),
    rule("nvrm: xid", r"NVRM: Xid \([^)]{1,60}\): (?P<n>\d{1,4})", lambda m: drivers.gpu_failed(m[0])),
    rule("gpl-only", r"NVRM: [^\n]{0,200}GPL", lambda m: drivers.harmless("a note of the driver", m[0])),
    # PCI, USB, platform
    rule("probe of", r"(?P<m>[\w-]{1,64}): probe of (?P<d>[\w:.-]{1,64}) (?:failed with error|rejects match|failed: ?error) ?-?(?P<e>\d{1,4})?", lambda m: drivers.probe_failed(m["m"], m["d"], _number(m))),
    rule("probe with driver", r"(?P<d>[\w:.-]{1,64}): probe with driver (?P<m>[\w-]{1,64}) failed with error -?(?P<e>\d{1,4})", lambda m: drivers.probe_failed(m["m"], m["d"], _number(m))),
    rule("can't reserve", r"(?P<m>[\w-]{1,64}) [\w:.-]{1,32}: (?:BAR \d{1,2}: )?can't reserve (?P<r>\[?[^\]\n]{1,100}\]?)", lambda m: drivers.region_busy(m["m"], m["r"])),
    rule("conflicts with", r"ACPI Warning: (?:SystemIO|SystemMemory) range (?P<r>0x[0-9A-Fa-f]{1,16}-0x[0-9A-Fa-f]{1,16}) conflicts with", lambda m: drivers.region_busy("", m["r"], "ACPI")),
    rule("acpi: resource conflict", r"ACPI(?:: OSL)?: [Rr]esource [Cc]onflict[^\n]{0,80}", lambda m: drivers.region_busy("", m[0], "ACPI"), general=True),
    rule("already registered", r"Error: Driver '(?P<d>[^'\n]{1,80})' is already registered", lambda m: drivers.duplicate_driver(m["d"])),
    rule("cannot create duplicate filename", r"sysfs: cannot create duplicate filename '(?P<p>[^'\n]{1,300})'", lambda m: drivers.duplicate_driver(m["p"].rstrip("/").rpartition("/")[2])),
    rule("already exists", r"kobject_add_internal failed for (?P<d>\S{1,80})[^\n]{0,60} with -EEXIST", lambda m: drivers.duplicate_driver(m["d"])),
    rule("duplicate filename", r"proc_dir_entry '(?P<p>[^'\n]{1,200})' already registered", lambda m: drivers.duplicate_driver(m["p"])),
    rule("cannot get a major", r"(?:CHRDEV|{m})[^\n]{0,80}(?:cannot get|unable to get|could not (?:get|allocate)) (?:a )?major(?: number)? ?(?P<n>\d{1,5})?", lambda m: drivers.region_busy(m["m"] or "", f"the major number {m['n'] or ''}".strip())),
    rule("slab_", r"kmem_cache_create\((?P<d>[^)\n]{1,80})\) failed with error -17", lambda m: drivers.duplicate_driver(m["d"])),
    rule("deferred", r"(?P<d>[\w:.-]{1,64}): deferred probe pending[^\n]{0,120}", lambda m: drivers.probe_failed("", m["d"], 517)),
    # firmware
    rule("direct firmware load", r"(?P<m>[\w-]{1,64}) [\w:.-]{1,40}: Direct firmware load for (?P<f>\S{1,300}) failed with error -(?P<e>\d{1,4})", lambda m: drivers.firmware_missing(m["m"], m["f"], _number(m))),
    rule("direct firmware load", r"Direct firmware load for (?P<f>\S{1,300}) failed with error -(?P<e>\d{1,4})", lambda m: drivers.firmware_missing("", m["f"], _number(m))),
    rule("firmware: failed to load", r"(?:(?P<m>[\w-]{1,64}) [\w:.-]{1,40}: )?firmware: failed to load (?P<f>\S{1,300}) \(-(?P<e>\d{1,4})\)", lambda m: drivers.firmware_missing(m["m"] or "", m["f"], _number(m))),
    rule("firmware", r"(?P<m>[\w-]{1,64})(?: [\w:.-]{1,40})?: [^\n]{0,80}(?:[Ff]ailed|[Uu]nable|can't|could not|couldn't|not) (?:to )?(?:load|request|find|get|found:?|loading)[^\n]{0,30}?firmware[^\n]{0,20}?(?: (?:file )?[\"'(]?(?P<f>[\w./-]{1,200}\.(?:bin|fw|ucode|dat|hcd|mdt|zst|xz)))?", lambda m: drivers.firmware_missing(m["m"], m["f"] or "it needs")),
    rule("no suitable firmware", r"(?P<m>[\w-]{1,64}) [\w:.-]{1,40}: no suitable firmware found", lambda m: drivers.firmware_missing(m["m"], "it needs")),
    rule("minimum version required", r"(?P<m>[\w-]{1,64}) [\w:.-]{1,40}: minimum version required: (?P<f>\S{1,100})", lambda m: drivers.firmware_missing(m["m"], m["f"]), general=True),
    # RHEL and SUSE
    rule("unmaintained", r"(?:Unmaintained driver is detected|Deprecated [Dd]river is detected|Driver .{1,40} has been removed|Unmaintained [Hh]ardware is detected|Deprecated [Hh]ardware is detected)[^\n]{0,80}", lambda m: drivers.hardware_removed("", m[0])),
    rule("deprecated driver", r"Deprecated [Dd]river is detected: ?(?P<m>[\w-]{1,64})", lambda m: drivers.hardware_removed(m["m"], m[0])),
    rule("tech preview", r"TECH PREVIEW: (?P<w>[^\n]{1,80}?) may not be fully supported", lambda m: drivers.hardware_removed("", m[0])),
    rule("unsupported hardware", r"UNSUPPORTED HARDWARE DEVICE: {e}", lambda m: drivers.hardware_removed("", m[0])),
    rule("removed from", r"[^\n]{0,80}support for this (?:device|driver) has been removed", lambda m: drivers.hardware_removed("", m[0])),
    # others that refuse
    rule("no such device", r"^(?P<m>[\w-]{1,64}): (?:no|No) (?:supported |compatible |suitable )?(?:device|hardware|card|adapter|controller)s? (?:found|detected|present)", lambda m: drivers.no_device(m["m"], m[0])),
    rule("found", r"^(?P<m>[\w-]{1,64}): (?:no|No) (?:supported |compatible |suitable )?(?:devices?|hardware|cards?|adapters?|controllers?) (?:found|detected|present)", lambda m: drivers.no_device(m["m"], m[0])),
    rule("module blacklisted", r"(?P<m>[\w-]{1,64}): disabled (?:by|via|on) (?:the )?(?:kernel )?(?:command line|module parameter|nomodeset)", lambda m: drivers.no_device(m["m"], m[0])),
    rule("nomodeset", r"(?:kernel modesetting|VGACON|nomodeset)[^\n]{0,40}disable[ds]?[^\n]{0,40}", lambda m: drivers.nomodeset("", m[0])),
    rule("spl: ", r"(?:ZFS|SPL): [^\n]{0,100}(?:incompatible|mismatch|failed)[^\n]{0,80}", lambda m: drivers.version_mismatch("zfs", "", "")),
    rule("module_load", r"avc: +denied +\{ module_load \}[^\n]{0,200}", lambda m: _denied(m[0])),
    rule("denied", r"apparmor=\"DENIED\"[^\n]{0,200}(?:sys_module|/\S{1,200}\.ko)", lambda m: _denied(m[0])),
    rule("request_module", r"request_module: (?:runaway loop modprobe|modprobe) (?P<m>\S{1,100})", lambda m: drivers.runaway(m["m"].rstrip(","))),
    rule("request_module", r"request_module: kmod_concurrent_max[^\n]{0,120}", lambda m: drivers.harmless("requests wait for their turn", m[0])),
)  # fmt: skip
