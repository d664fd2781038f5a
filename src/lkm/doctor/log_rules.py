"""The messages the doctor knows, and the cause each stands for.

Kernel messages as in ``kernel/module/``, ``kernel/params.c``, ``kernel/bpf/btf.c`` and
``security/lockdown``, 5.x and 6.x wording; tools' messages as in kmod's ``tools/`` and DKMS.
"""

from __future__ import annotations

import errno as errno_names
import os
import re
from collections.abc import Callable

from lkm.doctor.causes import (
    build,
    format,
    parameters,
    permission,
    signature,
    state,
    symbols,
    tree,
    version,
)
from lkm.doctor.finding import Finding, Fix, Severity
from lkm.doctor.log import Explain, LogRule
from lkm.module.image import name_of

_M = r"(?P<m>[\w-]+)"
_S = r"(?P<s>[\w.$]+)"


def _rule(pattern: str, explain: Explain, *, general: bool = False) -> LogRule:
    return LogRule(re.compile(pattern), explain, general)


def _damaged(what: str) -> Explain:
    return lambda m: format.damaged(m[0], "", what)


def _long_or_too_large(m: re.Match[str]) -> Finding:
    return parameters.too_long(m["m"], m["p"], m["v"])


_KERNEL = (
    # format
    _rule(r"Invalid ELF header magic: != ", lambda _: format.not_elf("")),
    _rule(r"Invalid ELF header type: (?P<n>\d+) !=", lambda m: format.wrong_type(int(m["n"]))),
    _rule(
        r"Invalid (?:module )?architecture in ELF header: (?P<n>\d+)",
        lambda m: format.wrong_machine(int(m["n"])),
    ),
    _rule(r"Invalid ELF header len \d+", _damaged("it is shorter than an ELF header")),
    _rule(r"Invalid ELF section header (?:overflow|size)", _damaged("its section table")),
    _rule(r"Invalid ELF section (?:name|hdr|in module).*", _damaged("a section lies outside it")),
    _rule(r"Invalid ELF sh_link.*", _damaged("its symbol table points nowhere")),
    _rule(r"ELF Spec violation: .*", _damaged("its section table")),
    _rule(r"empty section name table", _damaged("it has no section names")),
    _rule(r"Module has invalid ELF structures", _damaged("it is no whole ELF object for it")),
    _rule(
        rf"^(?:{_M}: )?(?:\(missing .*\): )?module has no symbols \(stripped\?\)",
        lambda m: format.stripped(m["m"] or ""),
    ),
    _rule(
        rf"^(?:{_M}: No module found in object|module {_M.replace('<m>', '<n>')}: Exactly one "
        r"\.gnu\.linkonce\.this_module section must exist)",
        lambda m: format.no_this_module(m["m"] or m["n"], m[0]),
    ),
    # version
    _rule(
        rf"{_M}: version magic '(?P<a>[^']*)' should be '(?P<b>[^']*)'",
        lambda m: version.vermagic(m["m"], m["a"], m["b"]),
    ),
    _rule(
        rf"{_M}: disagrees about version of symbol module_layout",
        lambda m: version.module_layout(m["m"]),
    ),
    _rule(rf"{_M}: no symbol version for {_S}", lambda m: symbols.no_crc(m["m"], m["s"])),
    _rule(
        rf"{_M}: disagrees about version of symbol {_S}",
        lambda m: symbols.wrong_crc(m["m"], m["s"]),
    ),
    _rule(
        rf"(?:module )?{_M}: \.gnu\.linkonce\.this_module section size must match",
        lambda m: version.struct_size(m["m"]),
    ),
    _rule(
        r"failed to validate module \[(?P<m>[\w-]+)\] BTF: -(?P<e>\d+)",
        lambda m: version.btf(m["m"], int(m["e"])),
    ),
    _rule(
        rf"{_M}: (?P<w>bad vermagic|module_layout|no versions for exported symbols): kernel "
        "tainted",
        lambda m: version.forced(m["m"], m["w"]),
    ),
    _rule(
        rf"{_M}: loading module not compiled with retpoline",
        lambda m: version.no_retpoline(m["m"]),
    ),
    # symbols
    _rule(
        rf"{_M}: exports duplicate symbol {_S} \(owned by (?P<o>[\w-]+)\)",
        lambda m: symbols.duplicate(m["m"], m["s"], m["o"]),
    ),
    _rule(
        rf"{_M}: module uses symbol \({_S}\) from namespace (?P<n>\S+?), but does not import",
        lambda m: symbols.namespace(m["m"], m["s"], m["n"]),
    ),
    _rule(
        rf"{_M}: module using GPL-only symbols uses symbols {_S} from proprietary module "
        r"(?P<o>[\w-]+)",
        lambda m: symbols.gpl_and_proprietary(m["m"], m["s"], m["o"]),
    ),
    _rule(
        rf"{_M}: gave up waiting for init of module (?P<o>[\w-]+)",
        lambda m: symbols.waiting(m["m"], m["o"]),
    ),
    _rule(rf"{_M}: Unknown symbol {_S} \(err -22\)", lambda m: symbols.err_22(m["m"], m["s"])),
    _rule(
        rf"{_M}: Unknown symbol {_S} \(err (?:-2|0)\)",
        lambda m: symbols.unknown_from_log(m["m"], m["s"]),
    ),
    # signature
    _rule(r"Loading of unsigned module is rejected", lambda _: signature.rejected("unsigned")),
    _rule(
        r"Loading of module with unavailable key is rejected",
        lambda _: signature.rejected("unavailable"),
    ),
    _rule(
        r"Loading of module with unsupported crypto is rejected",
        lambda _: signature.rejected("crypto"),
    ),
    _rule(r"Lockdown: \S+: unsigned module loading is restricted", lambda _: signature.lockdown()),
    _rule(
        r"Invalid module sig \((?P<w>[^)]*)\)|S/MIME Caps only allowed",
        lambda m: signature.wrong_options(why=m["w"] or "has authattrs"),
    ),
    _rule(r"not signed with expected PKCS#7 message", lambda _: signature.not_pkcs7()),
    _rule(
        rf"{_M}: module verification failed: signature and/or required key missing",
        lambda m: signature.taints(m["m"]),
    ),
    # permission
    _rule(rf"Module {_M} is blacklisted", lambda m: permission.kernel_blacklist(m["m"])),
    # parameters
    _rule(rf"{_M}: `(?P<v>.*?)' (?:too large) for parameter `(?P<p>[\w-]+)'", _long_or_too_large),
    _rule(
        rf"{_M}: `(?P<v>.*?)' invalid for parameter `(?P<p>[\w-]+)'",
        lambda m: parameters.invalid(m["m"], m["p"], m["v"]),
    ),
    _rule(
        r"^(?P<p>[\w-]+): can only take (?P<n>\d+) arguments",
        lambda m: parameters.too_many("", m["p"], int(m["n"])),
    ),
    _rule(r"^(?P<p>[\w-]+): string parameter too long", lambda m: parameters.too_long("", m["p"])),
    _rule(
        rf"{_M}: unknown parameter '(?P<p>[^']*)' ignored",
        lambda m: parameters.unknown(m["m"], m["p"]),
    ),
    _rule(
        rf"{_M}: parameters '(?P<p>[^']*)' after `--' ignored",
        lambda m: parameters.after_dashes(m["m"], m["p"]),
    ),
    # init
    _rule(
        r"(?:do_init_module: '(?P<m>[\w-]+)'->|(?P<o>[\w-]+): )init suspiciously returned "
        r"(?P<n>-?\d+)(?:, it should follow.*)?",
        lambda m: state.init_positive(m["m"] or m["o"], int(m["n"]), m[0]),
    ),
)


def _errno_of(text: str) -> int:
    if match := re.fullmatch(r"Unknown error (\d+)", text):
        return int(match[1])
    return _BY_TEXT.get(text, 0)


_BY_TEXT = {os.strerror(number): number for number in errno_names.errorcode} | {
    "Invalid module format": errno_names.ENOEXEC,
    "Unknown symbol in module": errno_names.ENOENT,
    "Unknown symbol in module, or unknown parameter (see dmesg)": errno_names.ENOENT,
    "Invalid parameters": errno_names.EINVAL,
    "Module has wrong symbol version": errno_names.ESRCH,
}


def could_not_insert(module: str, errno: int) -> Finding:
    """Return what an errno alone, without a line of the kernel, can be due to."""
    known = _ALONE.get(errno)
    return known(module) if known else state.init_returned(module, errno)


def _ambiguous(module: str, errno: int, cause: str, name: str = "see-kernel-log") -> Finding:
    return Finding(
        name,
        Severity.FATAL,
        cause,
        errno,
        module=module,
        fixes=(
            Fix(
                "the kernel's log has the line that tells which",
                ("sudo dmesg | tail -20 | lkm doctor --log -", f"lkm doctor {module}"),
            ),
        ),
    )


_ALONE: dict[int, Callable[[str], Finding]] = {
    errno_names.ENOEXEC: lambda m: _ambiguous(
        m,
        errno_names.ENOEXEC,
        "the file is no module for this kernel: built for another one (version magic), against "
        "other headers (module_layout), for another processor, damaged, stripped, or it exports "
        "a symbol that is taken",
    ),
    errno_names.ENOENT: lambda m: _ambiguous(
        m,
        errno_names.ENOENT,
        "a symbol it needs is missing: the module that exports it is not loaded (insmod loads no "
        "dependencies), nothing exports it, or it is GPL-only",
    ),
    errno_names.EINVAL: lambda m: _ambiguous(
        m,
        errno_names.EINVAL,
        "a parameter's value is wrong, or a symbol's version or namespace does not fit, or the "
        "file is empty, or its own init refused",
    ),
    errno_names.EKEYREJECTED: signature.refused,
    errno_names.ENOKEY: signature.key_missing,
    errno_names.EBADMSG: lambda m: signature.broken(m, "", "its lengths or its PKCS#7 are wrong"),
    errno_names.ENOPKG: signature.not_pkcs7,
    errno_names.EPERM: permission.not_permitted,
    errno_names.EEXIST: state.already_loaded,
    errno_names.ENOMEM: state.no_memory,
    errno_names.EBUSY: lambda m: state.init_returned(m, errno_names.EBUSY),
    errno_names.ERANGE: lambda m: _ambiguous(
        m, errno_names.ERANGE, "a parameter's number is out of its range", "bad-parameter"
    ),
    errno_names.ENOSPC: lambda m: _ambiguous(
        m, errno_names.ENOSPC, "a parameter's text is longer than 1024 bytes", "bad-parameter"
    ),
    errno_names.ESRCH: lambda m: symbols.wrong_crc(m, "a symbol"),
}


def _inserted(m: re.Match[str]) -> Finding:
    return could_not_insert(name_of(m["m"]), _errno_of(m["e"].strip()))


def _not_found(m: re.Match[str]) -> Finding:
    directory = m["d"]
    return tree.not_found(m["m"], directory, release=directory.rstrip("/").rpartition("/")[2])


def _gone(m: re.Match[str]) -> Finding:
    return tree.directory_gone(m["d"].rstrip("/").rpartition("/")[2], m["d"])


_TOOLS = (
    _rule(
        r"(?:FATAL|ERROR): (?:could not search modules|could not open directory|Could not load "
        r"modules\.dep|could not open moddep file|.*?) ?'?(?P<d>/(?:usr/)?lib/modules/[^/'\s:]+)"
        r"[^:]*: No such file or directory",
        _gone,
    ),
    _rule(
        r"FATAL: Module (?P<m>\S+) not found(?: in directory (?P<d>\S+))?",
        lambda m: _not_found(m) if m["d"] else tree.not_found(m["m"]),
    ),
    _rule(
        r"Module (?P<m>\S+) is in use by:? (?P<h>[\w, -]+)",
        lambda m: state.in_use(m["m"], re.findall(r"[\w-]+", m["h"])),
    ),
    _rule(r"Module (?P<m>\S+) is in use", lambda m: state.in_use(m["m"])),
    _rule(
        r"could not remove (?:module )?'?(?P<m>[\w-]+)'?: (?P<e>Resource temporarily unavailable)",
        lambda m: state.in_use(m["m"]),
        general=True,
    ),
    _rule(
        r"could not remove (?:module )?'?(?P<m>[\w-]+)'?: Device or resource busy",
        lambda m: state.no_exit(m["m"]),
        general=True,
    ),
    _rule(r"Module (?P<m>\S+) is not currently loaded", lambda m: state.not_loaded(m["m"])),
    _rule(r"Module (?P<m>\S+) is builtin", lambda m: tree.built_in(m["m"])),
    _rule(
        r"could not load module (?P<m>\S+): No such file or directory",
        lambda m: format.file_missing(m["m"]),
    ),
    _rule(
        r"could not (?:insert|load) module '?(?P<m>[^':\s]+)'?: (?P<e>.+)$",
        _inserted,
        general=True,
    ),
    _rule(r"could not insert '(?P<m>[^']+)': (?P<e>.+)$", _inserted, general=True),
    _rule(
        r"(?:init_module|finit_module|insmod): (?:error inserting|can't insert) "
        r"'(?P<m>[^']+)': (?:-1 )?(?P<e>.+)$",
        _inserted,
        general=True,
    ),
)

_BUILD = (
    _rule(
        r"(?:kernel headers for kernel|headers for kernel|linux-headers-)\s*(?P<r>[\w.+~-]+)?"
        r".*(?:cannot be found|not (?:be )?found|not installed|unable to locate)",
        lambda m: build.headers_missing(m["r"] or ""),
    ),
    _rule(
        r"/lib/modules/(?P<r>[^/\s]+)/build: No such file or directory",
        lambda m: build.headers_missing(m["r"]),
    ),
    _rule(
        r"GPL-incompatible module (?P<m>[\w-]+)(?:\.ko)? uses GPL-only symbol '(?P<s>\w+)'",
        lambda m: build.modpost_gpl(m["m"], m["s"]),
    ),
    _rule(
        r"modpost: \"(?P<s>\w+)\" \[(?P<m>\S+?)(?:\.ko)?\] undefined!",
        lambda m: build.modpost_undefined(name_of(m["m"]), m["s"]),
    ),
    _rule(
        r"module (?P<m>[\w-]+) uses symbol (?P<s>\w+) from namespace (?P<n>\S+?), but does not",
        lambda m: build.modpost_namespace(m["m"], m["s"], m["n"]),
    ),
    _rule(
        r"unrecognized (?:command[- ]line )?option ['‘’\"](?P<o>[^'‘’\"]+)",
        lambda m: build.compiler_too_old(m["o"]),
    ),
    _rule(r"incompatible gcc/plugin versions", lambda _: build.plugin_version()),
    _rule(
        r"^(?P<p>\S+:\d+:\d+): error: (?P<w>implicit declaration of function .(?P<f>\w+).)",
        lambda m: build.api_drift(f"there is no function {m['f']}", m["p"]),
    ),
    _rule(
        r"^(?P<p>\S+:\d+:\d+): error: (?P<w>.*has no member named .(?P<f>\w+).)",
        lambda m: build.api_drift(f"there is no member {m['f']}", m["p"]),
    ),
    _rule(
        r"^(?P<p>\S+:\d+:\d+): error: (?P<w>(?:too (?:few|many) arguments|incompatible type|"
        r"initialization of|unknown type name|.*incompatible pointer type|passing argument).*)",
        lambda m: build.api_drift(m["w"], m["p"]),
    ),
    _rule(r"BUILD_EXCLUSIVE directive which does not match", lambda _: build.dkms_excluded()),
    _rule(
        r"Bad return status for module build on kernel: (?P<r>\S+)",
        lambda m: build.dkms_build("", m["r"]),
        general=True,
    ),
    _rule(
        r"Consult (?P<l>/var/lib/dkms/(?P<m>[^/]+)/\S+make\.log)",
        lambda m: build.dkms_build(m["m"], "", m["l"]),
        general=True,
    ),
)

RULES: tuple[LogRule, ...] = (*_KERNEL, *_TOOLS, *_BUILD)
"""Tried in this order; the first that matches a line explains it."""
