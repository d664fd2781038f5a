"""The kernel's own messages about loading, of 2.6 to 7.x.

Sources: ``kernel/module/`` (before 5.18 ``kernel/module.c``), ``kernel/params.c``, ``kernel/bpf/btf.c``,
``security/lockdown``, ``security/integrity``, ``crypto/asymmetric_keys``.
"""

from __future__ import annotations

import re

from lkm.doctor.causes import (
    drivers,
    format,
    parameters,
    permission,
    signature,
    state,
    symbols,
    version,
)
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import Explain, LogRule, rule
from lkm.doctor.rules.symbols import unknown_symbol


def _damaged(what: str) -> Explain:
    return lambda m: format.damaged(m[0], "", what)


def _too_large(m: re.Match[str]) -> Finding:
    return parameters.too_long(m["m"], m["p"], m["v"])


FORMAT = (
    rule("invalid elf header magic", r"Invalid ELF header magic: != ", lambda _: format.not_elf("")),
    rule("invalid elf header type", r"Invalid ELF header type: (?P<n>\d{1,6}) !=",
         lambda m: format.wrong_type(int(m["n"]))),
    rule("architecture in elf header", r"Invalid (?:module )?architecture in ELF header: (?P<n>\d{1,6})",
         lambda m: format.wrong_machine(int(m["n"]))),
    rule("invalid elf header len", r"Invalid ELF header len \d{1,20}", _damaged("it is shorter than an ELF header")),
    rule("invalid elf section header", r"Invalid ELF section header (?:overflow|size)", _damaged("its section table")),
    rule("invalid elf section", r"Invalid ELF section (?:name|hdr|in module)", _damaged("a section lies outside it")),
    rule("invalid elf sh_link", r"Invalid ELF sh_link", _damaged("its symbol table points nowhere")),
    rule("elf spec violation", r"ELF Spec violation: {e}", _damaged("its section table")),
    rule("section name table", r"empty section name table", _damaged("it has no section names")),
    rule("invalid elf structures", r"Module has invalid ELF structures", _damaged("it is no whole ELF object for it")),
    rule("truncated", r"(?:Module len|module) .{0,40}\btruncated", _damaged("it ends too soon")),
    rule("module has no symbols", r"^(?:{m}: )?(?:\(missing [^)]{1,80}\): )?module has no symbols \(stripped\?\)",
         lambda m: format.stripped(m["m"] or "")),
    rule("no module found in object", r"{m}: No module found in object", lambda m: format.no_this_module(m["m"], m[0])),
    rule("gnu.linkonce.this_module", r"module {m}: \.gnu\.linkonce\.this_module (?:section )?must (?!exist|match){e}",
         lambda m: format.damaged(m[0], "", "its struct module lies where the kernel cannot use it")),
    rule("exactly one .gnu", r"module {m}: Exactly one \.gnu\.linkonce\.this_module section must exist",
         lambda m: format.no_this_module(m["m"], m[0])),
    rule("decompress", r"(?:module: )?(?:invalid (?:gzip|xz|zstd) header|decompression (?:failed|of module)|"
         r"(?:xz|gzip|zstd)-decompressing {any} failed|failed to (?:extend|map|unpack) {any}decompress)",
         _damaged("the kernel could not decompress it")),
    rule("overread", r"module {m}: .{0,80}(?:overflow|overread|outside)", _damaged("a table in it ends beyond it")),
)  # fmt: skip

VERSION = (
    rule("version magic '", r"{m}: version magic '(?P<a>[^']{0,300})' should be '(?P<b>[^']{0,300})'",
         lambda m: version.vermagic(m["m"], m["a"], m["b"])),
    rule("symbol module_layout", r"{m}: disagrees about version of symbol (?:module_layout|struct_module)",
         lambda m: version.module_layout(m["m"])),
    rule("no symbol version for", r"{m}: no symbol version for {s}", lambda m: symbols.no_crc(m["m"], m["s"])),
    rule("disagrees about version of symbol", r"(?<!ko )(?<!xz )(?<!st ){m}: disagrees about version of symbol {s}",
         lambda m: symbols.wrong_crc(m["m"], m["s"])),
    rule("section size must match", r"(?:module )?{m}: \.gnu\.linkonce\.this_module section size must match",
         lambda m: version.struct_size(m["m"])),
    rule("] btf: ", r"failed to validate module \[(?P<m>[\w-]{1,64})\] BTF: -?(?P<e>\d{1,4})",
         lambda m: version.btf(m["m"], int(m["e"]))),
    rule(": kernel tainted", r"{m}: (?P<w>bad vermagic|module_layout|no versions for exported symbols|"
         r"no version for \"[^\"]{1,200}\" found|no version magic): kernel tainted",
         lambda m: version.forced(m["m"], m["w"])),
    rule("retpoline", r"{m}: loading module not compiled with retpoline", lambda m: version.no_retpoline(m["m"])),
)  # fmt: skip

SYMBOLS = (
    rule("exports duplicate symbol", r"{m}: exports duplicate symbol {s} \(owned by {o}\)",
         lambda m: symbols.duplicate(m["m"], m["s"], m["o"])),
    rule("from namespace", r"{m}: module (?:\S{1,64} )?uses symbol \({s}\) from namespace (?P<n>[^\n]{1,300}?),? but does not import",
         lambda m: symbols.namespace(m["m"], m["s"], m["n"])),
    rule("module using gpl-only symbols", r"{m}: module using GPL-only symbols uses symbols? (?P<s>[\w.$]{0,512}?) ?from proprietary module {o}",
         lambda m: symbols.gpl_and_proprietary(m["m"], m["s"], m["o"])),
    rule("gave up waiting for init", r"{m}: gave up waiting for init of module {o}",
         lambda m: symbols.waiting(m["m"], m["o"])),
    rule("unknown symbol", r"{m}: Unknown symbol {s} \(err -22\)", lambda m: symbols.err_22(m["m"], m["s"])),
    rule("unknown symbol", r"{m}: Unknown symbol {s} \(err -16\)", lambda m: symbols.waiting(m["m"], f"that exports {m['s']}")),
    rule("unknown symbol", r"{m}: Unknown symbol (?!in module){s}(?: \(err (?:-\d{1,3}|0)\))?", lambda m: unknown_symbol(m["m"], m["s"])),
    rule("unknown symbol", r"unknown symbol (?:in module )?'?{s}'? ?(?:in|needed by|required by) {file}",
         lambda m: unknown_symbol(m["m"].rpartition("/")[2].partition(".")[0], m["s"])),
)  # fmt: skip

SIGNATURE = (
    rule("loading of unsigned module", r"Loading of unsigned module is rejected", lambda _: signature.rejected("unsigned")),
    rule("with unavailable key", r"Loading of module with unavailable key is rejected", lambda _: signature.rejected("unavailable")),
    rule("with unsupported crypto", r"Loading of module with unsupported crypto is rejected", lambda _: signature.rejected("crypto")),
    rule("unsigned module loading is restricted", r"(?:Lockdown: )?(?:\S{1,64}: )?[Uu]nsigned module loading is restricted", lambda _: signature.lockdown()),
    rule("restricted; see", r"(?:Lockdown|Secure boot).{0,80}(?:module|Loading){any}restricted", lambda _: signature.lockdown()),
    rule("unknown module key", r"Request for unknown (?:module )?key '(?P<n>[^'\n]{1,300}?)(?:: [0-9a-f]{4,128})?' err -?(?P<e>\d{1,4})",
         lambda m: signature.unknown_key(m["n"])),
    rule("request for unknown key", r"Request for unknown key '(?P<n>[^'\n]{1,300})' err", lambda m: signature.unknown_key(m["n"])),
    rule("not signed with a trusted key", r"PKCS#7 signature not signed with a trusted key", lambda _: signature.untrusted()),
    rule("invalid module sig", r"Invalid module sig \((?P<w>[^)]{0,80})\)", lambda m: signature.wrong_options(why=m["w"])),
    rule("s/mime caps", r"S/MIME Caps only allowed", lambda _: signature.wrong_options()),
    rule("expected pkcs#7 message", r"not signed with expected PKCS#7 message", lambda _: signature.not_pkcs7()),
    rule("module verification failed", r"{m}: module verification failed: signature and/or required key missing",
         lambda m: signature.taints(m["m"])),
    rule("kexec_file", r"(?:kexec_file|bzImage64).{0,80}(?:signature|key)", lambda m: drivers.harmless("it is about kexec, not about modules", m[0])),
    rule("sig-verify", r"(?:module )?{m}: (?:signature|sig).{0,40}(?:verif|invalid).{0,60}(?:fail|err)", lambda m: signature.tampered(m["m"])),
    rule("ima: ", r"(?:integrity|ima): .{0,80}(?:module|kmod|\.ko)", lambda m: signature.ima(m[0])),
    rule("appraise_data", r"appraise_data{any}name=\"(?P<f>[^\"]{1,400}\.ko[^\"]{0,8})\"", lambda m: signature.ima(m[0])),
    rule("loadpin", r"LoadPin: .{0,80}(?:kernel-module|module){e}", lambda m: signature.loadpin(m[0])),
    rule("is blacklisted", r"X\.509 certificate .{1,300} is blacklisted|Key .{1,200} is blacklisted", lambda _: signature.rejected("unavailable")),
)  # fmt: skip

PERMISSION = (
    rule(
        "is blacklisted",
        r"(?<!device )Module {m} is blacklisted",
        lambda m: permission.kernel_blacklist(m["m"]),
    ),
    rule(
        "modules_disabled",
        r"(?:loading|module).{0,60}modules_disabled",
        lambda _: permission.modules_disabled(),
    ),
)

PARAMETERS = (
    rule("too large for parameter", r"{m}: `(?P<v>[^\n]{0,300}?)' too large for parameter `(?P<p>[\w-]{1,64})'", _too_large),
    rule("invalid for parameter", r"{m}: `(?P<v>[^\n]{0,300}?)' invalid for parameter `(?P<p>[\w-]{1,64})'",
         lambda m: parameters.invalid(m["m"], m["p"], m["v"])),
    rule("can only take", r"^(?P<p>[\w-]{1,64}): can only take (?P<n>\d{1,9}) arguments",
         lambda m: parameters.too_many("", m["p"], int(m["n"]))),
    rule("arguments for parameter", r"(?P<p>[\w-]{1,64}) needs at least \d{1,6} arguments", lambda m: parameters.invalid("", m["p"], "")),
    rule("string parameter too long", r"^(?P<p>[\w-]{1,64}): string parameter too long", lambda m: parameters.too_long("", m["p"])),
    rule("string doesn't fit", r"(?P<p>[\w-]{1,64}): string doesn't fit in \d{1,9} chars", lambda m: parameters.too_long("", m["p"])),
    rule("unknown parameter", r"{m}: unknown parameter '(?P<p>[^'\n]{0,200})' ignored", lambda m: parameters.unknown(m["m"], m["p"])),
    rule("unknown parameter", r"{m}: Unknown parameter [`'](?P<p>[^'`\n]{0,200})'", lambda m: parameters.unknown(m["m"], m["p"], fatal=True)),
    rule("after `--'", r"{m}: parameters '(?P<p>[^'\n]{0,300})' after `--' ignored", lambda m: parameters.after_dashes(m["m"], m["p"])),
    rule("dangerous option", r"Setting dangerous option (?P<p>[\w.-]{1,80})", lambda m: drivers.harmless("the parameter is marked as one for experiments; it sets taint U", m[0])),
)  # fmt: skip

STATE = (
    rule("suspiciously returned", r"(?:\w{1,40}: '(?P<m>[\w-]{1,64})'->|(?P<o>[\w-]{1,64}): )init suspiciously returned "
         r"(?P<n>-?\d{1,10})(?:, it should follow[^\n]{0,80})?",
         lambda m: state.init_positive(m["m"] or m["o"], int(m["n"]), m[0])),
    rule("bytes percpu data", r"{m}: (?:Could not allocate|could not allocate) \d{1,20} bytes percpu data", lambda m: state.no_memory(m["m"])),
    rule("percpu alignment", r"{m}: per-cpu alignment \d{1,20} > \d{1,20}", lambda m: format.damaged(m[0], "", "its per-cpu data wants more alignment than there is")),
    rule("vmalloc", r"vmalloc: allocation failure{any}|vmap allocation for size \d{1,20} failed|vmalloc size \d{1,20} allocation failure",
         lambda _: state.no_memory("")),
    rule("module_alloc", r"module_alloc{any}fail", lambda _: state.no_memory("")),
    rule("per-cpu", r"PERCPU: allocation failed|percpu: allocation failed", lambda _: state.no_memory("")),
    rule("already loaded", r"{m}: module (?:is )?already loaded|module {o} is already loaded", lambda m: state.already_loaded(m["m"] or m["o"])),
    rule("initcall ", r"initcall {m}\w{0,40}\+?\S{0,20}(?: \[{o}\])? returned -(?P<n>\d{1,4}) after",
         lambda m: state.init_returned(m["o"] or m["m"], int(m["n"]))),
    rule("forced rmmod", r"{m}: (?:forced rmmod|Forced module unload)", lambda m: version.forced(m["m"], "forced unload")),
)  # fmt: skip

HARMLESS = (
    rule("taints kernel", r"{m}: loading out-of-tree module taints kernel",
         lambda m: drivers.harmless("a module from outside the kernel's tree was loaded; sets taint O", m[0], m["m"])),
    rule("taints kernel", r"{m}: module license '(?P<l>[^'\n]{1,80})' taints kernel",
         lambda m: drivers.harmless(f"the module's licence is {m['l']}; it loads, and sets taint P", m[0], m["m"])),
    rule("staging directory", r"{m}: module is from the staging directory",
         lambda m: drivers.harmless("a staging driver was loaded; sets taint C", m[0], m["m"])),
    rule("lock debugging", r"Disabling lock debugging due to kernel taint", lambda m: drivers.harmless("follows from the taint", m[0])),
    rule("test module taints", r"{m}: loading test module taints kernel", lambda m: drivers.harmless("a test module; sets taint N", m[0], m["m"])),
    rule("livepatch", r"{m}: tainting kernel with TAINT_LIVEPATCH", lambda m: drivers.harmless("a live patch; sets taint K", m[0], m["m"])),
    rule("info_key", r"{m}: (?:module )?(?:has|with) unsupported .{0,40}section", lambda m: drivers.harmless("the section is left out", m[0], m["m"])),
    rule("exported symbols", r"{m}: no versions for exported symbols",
         lambda m: version.forced(m["m"], "no versions for exported symbols")),
)  # fmt: skip

OTHERS = (
    rule(": kernel tainted", r"{m}: (?P<w>[^\n:]{1,80}): kernel tainted", lambda m: version.forced(m["m"], m["w"])),
    rule("inheriting taint", r"{m}: module uses symbols (?:{s} )?from proprietary module {o}, inheriting taint", lambda m: drivers.harmless(f"it counts as proprietary, as {m['o']} is; sets taint P", m[0], m["m"])),
    rule("module license taints", r"{m}: module license taints kernel", lambda m: drivers.harmless("the module's licence is not the GPL; sets taint P", m[0], m["m"])),
    rule("is being used by a non-gpl module", r"Symbol {s} is being used by a non-GPL module", lambda m: drivers.harmless("a later kernel will offer the symbol to GPL modules only", m[0])),
    rule("unexpected non-zero params", r"PKCS#7 signature info has unexpected non-zero params", lambda _: signature.broken("", "", "fields of its trailer are set that must be 0")),
    rule("non-detached data", r"PKCS#7 signature with non-detached data", lambda _: signature.wrong_options(why="holds the data it signs")),
    rule("sig algo don't match", r"X\.509 algo and PKCS#7 sig algo don't match", lambda _: signature.wrong_options(why="names two algorithms")),
    rule("module hash", r"Module hash \S{1,200} is blacklisted", lambda _: signature.revoked()),
    rule("to sysfs failed", r"Adding module '{m}' to sysfs failed", lambda m: state.sysfs_failed(m["m"])),
    rule("module links for", r"{m}: failed to create module links for {o}", lambda m: state.sysfs_failed(m["m"])),
    rule("sysfs not initialized", r"{m}: module sysfs not initialized", lambda m: state.sysfs_failed(m["m"])),
    rule("string table type", r"Invalid ELF symbol string table type", _damaged("its symbol names are no string table")),
    rule("not an xz compressed module", r"not an? (?:xz|gzip|zstd) compressed module", _damaged("it is not compressed the way this kernel unpacks")),
    rule("module btf mismatch", r"Kernel module BTF mismatch detected", lambda _: version.btf("", fatal=False)),
    rule("distilled base", r"[^\n]{0,80}distilled base", lambda _: version.btf("", fatal=False)),
    rule("distilled based", r"in distilled based BTF", lambda _: version.btf("", fatal=False)),
    rule("is not mapped to base btf", r"is not mapped to base BTF", lambda _: version.btf("", fatal=False)),
    rule("btf, cannot register", r"missing (?:module|vmlinux) BTF, cannot register", lambda _: version.btf("", fatal=False)),
    rule("btf in sysfs", r"failed to register module \[{m}\] BTF in sysfs", lambda m: state.sysfs_failed(m["m"])),
    rule("failed to allocate entries for module", r"ftrace: failed to allocate entries for module '(?P<m>[\w-]{1,64})'", lambda m: state.no_memory(m["m"])),
    rule("execmem allocator", r"Invalid parameters for execmem allocator", lambda _: state.no_memory("")),
    rule("livepatch: ", r"livepatch: [^\n]{0,200}refusing to load module '(?P<m>[\w-]{1,64})'", lambda m: state.livepatch(m["m"], m[0])),
    rule("livepatch: ", r"livepatch: (?:failed to (?:apply|initialize) patch|invalid access to vmlinux|module {m} is not marked|vmlinux\.ko: invalid)[^\n]{0,200}", lambda m: state.livepatch(m["m"] or "", m[0])),
    rule("error adding module", r"dyndbg: error adding module: {m}", lambda m: state.no_memory(m["m"])),
)  # fmt: skip

KERNEL: tuple[LogRule, ...] = (
    *FORMAT, *VERSION, *SYMBOLS, *SIGNATURE, *PERMISSION, *PARAMETERS, *STATE, *HARMLESS,
    *OTHERS,
)  # fmt: skip
