"""What make, kbuild, modpost, DKMS, akmods and signers print.

Sources: the kernel's ``Makefile``, ``scripts/``, ``scripts/mod/modpost.c``, ``scripts/sign-file.c``; DKMS's ``dkms``
(2.2 to 3.2); akmods.
"""

from __future__ import annotations

import re

from lkm.doctor.causes import build, drivers, installers, toolchain, tree
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import LogRule, rule
from lkm.module.image import name_of


def _headers(m: re.Match[str]) -> Finding:
    return build.headers_missing((m.groupdict().get("r") or "").rstrip(".,"))


def _missing_tool(m: re.Match[str]) -> Finding:
    tool = m["t"].rsplit("/", 1)[-1]
    if tool in ("modprobe", "insmod", "rmmod", "depmod", "lsmod", "modinfo"):
        return tree.tool_not_on_path(tool)
    if "scripts/" in m["t"] or "tools/" in m["t"]:
        return build.unprepared(f"{m['t']} is not there")
    if re.search(r"gcc|clang|(?:^|-)cc$|^ld|-ld|\bas$", tool):
        return build.compiler_missing(tool)
    return build.tool_missing(tool)


_TOOL = r"(?P<t>(?:\./)?[\w./+-]{1,200})"

KBUILD = (
    rule("kernel configuration is invalid", r"(?:ERROR: )?Kernel configuration is invalid", lambda _: build.unprepared()),
    rule("autoconf.h", r"include/generated/autoconf\.h or include/config/auto\.conf are missing", lambda _: build.unprepared()),
    rule("is not clean", r"(?:The source tree|source tree) is not clean", lambda m: build.unprepared("the source tree was built in place; run make mrproper there")),
    rule("exec format error", r"(?P<t>(?:\S{1,300}/)?(?:scripts|tools)/\S{1,200}): (?:\d{1,5}: )?(?:cannot execute binary file: )?Exec format error", lambda m: build.wrong_host_tools(m["t"])),
    rule("cannot execute", r"(?P<t>(?:\S{1,300}/)?(?:scripts|tools)/\S{1,200}): (?:\d{1,5}: )?cannot execute(?: binary file)?", lambda m: build.wrong_host_tools(m["t"])),
    rule("syntax error", r"(?P<t>(?:\S{1,300}/)?scripts/\S{1,200}): \d{1,5}: Syntax error", lambda m: build.wrong_host_tools(m["t"])),
    rule("version `glibc", r"(?P<t>\S{0,300}scripts/\S{1,200}): \S{1,200}: version [`']GLIBC_[\d.]{1,10}' not found", lambda m: build.wrong_host_tools(f"{m['t']} (built for a newer C library)")),
    rule("no rule to make target", r"No rule to make target [`'‘\"«„](?P<t>[^'’\"»“\n]{1,400})['’\"»“]", lambda m: build.rule_missing(m["t"])),
    rule("missing. stop", r"(?P<t>\S{1,300}): \*\*\* missing separator", lambda m: build.rule_missing(m["t"])),
    rule("no targets specified", r"No targets specified and no makefile found", lambda _: build.rule_missing("Makefile")),
    rule("not found", rf"(?:^|: )(?:/bin/(?:sh|bash|dash): )?(?:(?:line )?\d{{1,5}}: )?{_TOOL}: (?:command )?not found$", _missing_tool),
    rule("no such file or directory", r"make(?:\[\d{1,3}\])?: (?P<t>[\w.+-]{1,100}): (?:No such file or directory|Command not found)", _missing_tool),
    rule("no such file or directory", r"/bin/(?:sh|bash|dash): (?:line )?(?:\d{1,5}: )?(?P<t>\S{1,200}): No such file or directory", _missing_tool),
    rule("command not found", rf"(?:make|bash|sh|zsh)[^\n]{{0,30}}: (?:command not found: )?{_TOOL}(?:: (?:command|Command) not found)?$", _missing_tool),
    rule("nicht gefunden", rf"(?:^|: ){_TOOL}: (?:Kommando |Befehl )?nicht gefunden", _missing_tool),
    rule("introuvable", rf"(?:^|: ){_TOOL}\s?: commande introuvable", _missing_tool),
    rule("please install", r"(?:Cannot (?:generate ORC|use CONFIG_STACK_VALIDATION)|please install)[^\n]{0,120}(?P<l>libelf-dev|elfutils-libelf-devel|libelf-devel)", lambda _: toolchain.host_library("libelf")),
    rule("the compiler differs", r"the compiler differs from the one used to build the kernel", lambda m: build.compiler_differs(m[0])),
    rule("compiler version check failed", r"[Cc]ompiler version check failed|The kernel was built with (?:gcc|clang)[^\n]{0,120}, but", lambda m: build.compiler_differs(m[0])),
    rule("unrecognized", r"(?:unrecognized|unknown|unsupported) (?:command[- ]line |argument |option |argument: )*(?:option )?[:'‘’\"` ]{1,3}(?P<o>-[\w=.,:+-]{1,120})", lambda m: toolchain.compiler_too_old(m["o"])),
    rule("unbekannte", r"(?:nicht erkannte|unbekannte) Kommandozeilenoption [»„'](?P<o>-[^«“'\n]{1,120})", lambda m: toolchain.compiler_too_old(m["o"])),
    rule("non reconnue", r"option de la ligne de commande « ?(?P<o>-[^ »\n]{1,120}) ?» non reconnue", lambda m: toolchain.compiler_too_old(m["o"])),
    rule("gcc/plugin versions", r"incompatible gcc/plugin versions", lambda _: toolchain.plugin_version()),
    rule("plugin", r"(?:cannot load plugin|unable to load plugin|fail to initialize plugin) \S{1,300}", lambda _: toolchain.plugin_version()),
    rule("all warnings being treated as errors", r"all warnings being treated as errors", lambda _: toolchain.warnings_as_errors(), general=True),
    rule("asm-goto", r"Compiler lacks asm-goto support", lambda _: toolchain.compiler_too_old("asm goto")),
    rule("lacks retpoline", r"compiler (?:does not support|lacks) retpoline|You are building kernel with non-retpoline compiler", lambda _: toolchain.compiler_too_old("-mindirect-branch=thunk-extern")),
    rule("skipping btf", r"Skipping BTF generation for \S{1,400} due to unavailability of vmlinux", lambda m: drivers.harmless("no type data is made for the module, which only BPF programs miss", m[0])),
    rule("module.symvers", r"(?:Symbol version dump|WARNING: )[^\n]{0,60}Module\.symvers\"? (?:is|are) missing", lambda m: build.modpost_missing_symvers()),
    rule("missing-prototypes", r"warning: no previous prototype for", lambda m: drivers.harmless("a warning of the compiler", m[0])),
    rule("frame size", r"warning: the frame size of \d{1,9} bytes is larger", lambda m: drivers.harmless("a warning of the compiler", m[0])),
    rule("cannot allocate memory", r"(?:cc1|gcc|virtual memory)[^\n]{0,60}(?:exhausted|Cannot allocate memory|[Kk]illed)", lambda _: toolchain.out_of_memory()),
    rule("killed", r"(?:Killed signal terminated program|fatal error: Killed|internal compiler error: Killed)", lambda _: toolchain.out_of_memory()),
    rule("no space left", r"No space left on device", lambda m: toolchain.disk_full(m[0])),
    rule("clock skew", r"Clock skew detected|has modification time .{1,40} in the future", lambda m: drivers.harmless("files are newer than the clock; what is built may be incomplete", m[0])),
)  # fmt: skip

HEADERS = (
    rule("headers", r"(?:kernel (?:headers|source)|headers) for (?:the )?(?:target )?kernel:? {r}?{any}(?:cannot be found|not (?:be )?found|not installed|unable to locate|is missing)", _headers),
    rule("was skipped since", r"Module build for kernel {r} was skipped since", lambda m: build.skipped(m["r"])),
    rule("headers for this kernel do", r"kernel headers for this kernel do(?:es)? not seem to be installed", lambda _: build.skipped(""), general=True),
    rule("kernel headers for module", r"Missing {r} kernel headers for module", _headers),
    rule("linux-headers", r"linux-headers-{r}?[^\n]{0,80}(?:cannot be found|not (?:be )?found|not installed|unable to locate)", _headers),
    rule("unable to locate package", r"Unable to locate package (?:linux|pve|proxmox)-headers-{r}", _headers),
    rule("couldn't find any package", r"Couldn't find any package by (?:glob|regex) 'linux-headers-{r}'", _headers),
    rule("no match for argument", r"No match for argument: kernel(?:-\w{1,20})?-devel-{r}", _headers),
    rule("/build", r"/lib/modules/(?P<r>[^/\s]{1,128})/(?:build|source)/?(?:['\"’]|\s|:)[^\n]{0,60}?(?:No such file or directory|not found|does not exist|cannot be found|Datei oder Verzeichnis nicht gefunden|Aucun fichier)", _headers),
    rule("lib/modules/", r"(?:make|\*\*\*)[^\n]{0,40}/lib/modules/(?P<r>[^/\s]{1,128})/(?:build|source)\S{0,40}\s?: (?:No such file|Datei oder|Aucun fichier|No existe|Нет такого|没有那个|そのような|Arquivo ou|Nie ma)", _headers),
    rule("/lib/modules/", r"make(?:\[\d{1,3}\])?: Entering an unknown directory|(?:chdir|cd):? \(?/lib/modules/{r}/build\)?", _headers),
    rule("unable to find the kernel source", r"Unable to find the (?:kernel source tree|sources of your current Linux kernel)", lambda _: build.headers_missing("")),
    rule("unable to find the sources", r"unable to find the sources of your current Linux kernel", lambda _: build.headers_missing("")),
    rule("set up to build kernel modules", r"not set up to build kernel modules", lambda _: build.headers_missing("")),
    rule("files matching the current kernel", r"install the (?:Linux kernel|build and header)[^\n]{0,40}\"?header\"?[^\n]{0,40}(?:files|current)", lambda _: build.headers_missing(""), general=True),
    rule("header files for your current", r"header files for your current Linux kernel", lambda _: build.headers_missing("")),
    rule("distribution packages containing the header", r"packages containing the header", lambda _: build.headers_missing(""), general=True),
    rule("needed to compile modules", r"Could not find files needed to compile modules for {r}", _headers),
    rule("kernel-devel", r"kernel-devel{any}(?:is not installed|installed\?|not found)", lambda _: build.headers_missing(""), general=True),
    rule("kernel source", r"(?:kernel sources?|kernel headers?)[^\n]{0,40}(?:not found|could not be found|not installed|do(?:es)? not exist|(?:is|are) missing)", lambda _: build.headers_missing("")),
    rule("linux headers", r"(?:Linux|kernel)[ -]headers (?:are|were|is) (?:not|missing)", lambda _: build.headers_missing("")),
    rule("kernel version", r"checking kernel source{any}not found|configure: error: \*\*\* [Pp]lease make sure the kernel devel", lambda _: build.headers_missing("")),
)  # fmt: skip

MODPOST = (
    rule("gpl-incompatible module", r"GPL-incompatible module (?P<m>[\w-]{1,64})(?:\.ko)? uses GPL-only symbol '(?P<s>\w{1,512})'", lambda m: build.modpost_gpl(m["m"], m["s"])),
    rule("undefined!", r"(?:modpost: )?\"(?P<s>[\w.]{1,512})\" \[(?P<m>[^\]\s]{1,400}?)(?:\.ko)?\] undefined!", lambda m: build.modpost_undefined(name_of(m["m"]), m["s"])),
    rule("from namespace", r"module (?P<m>[\w-]{1,64}) uses symbol (?P<s>[\w.]{1,512}) from namespace (?P<n>[^\n]{1,300}?), but does not", lambda m: build.modpost_namespace(m["m"], m["s"], m["n"])),
    rule("missing module_license", r"(?:modpost: )?missing MODULE_LICENSE\(\) in (?P<m>\S{1,400})", lambda m: build.modpost_licence(name_of(m["m"].rsplit(".", 1)[0]))),
    rule("missing module_description", r"missing MODULE_DESCRIPTION\(\)", lambda m: drivers.harmless("a warning of modpost", m[0])),
    rule("section mismatch", r"(?:modpost: )?\S{1,200}: section mismatch|Section mismatch", lambda m: drivers.harmless("code that stays refers to code that is freed: a warning, though one to look at", m[0])),
    rule("exported twice", r"\"(?P<s>[\w.]{1,512})\" \[(?P<m>\S{1,300})\] (?:was )?exported (?:twice|in)", lambda m: build.modpost_undefined(name_of(m["m"]), m["s"]), general=True),
)  # fmt: skip

DKMS = (
    rule("build_exclusive", r"BUILD_EXCLUSIVE[^\n]{0,40} directive which does not match|does not match this kernel/arch", lambda _: build.dkms_excluded()),
    rule("is not newer than", r"Module version \S{1,80} for (?P<m>[\w-]{1,64})\.ko\S{0,8}\s{1,4}is not newer than", lambda m: build.dkms_not_newer(m["m"])),
    rule("could not locate dkms.conf", r"Could not locate dkms\.conf", lambda m: build.dkms_tree("a dkms.conf is missing")),
    rule("not located in the dkms tree", r"(?P<m>\S{1,200}) is not located in the DKMS tree", lambda m: build.dkms_tree(f"{m['m']} is not in it")),
    rule("dkms tree already contains", r"DKMS tree already contains:? (?P<m>\S{1,200})", lambda m: build.dkms_tree(f"{m['m']} is in it already")),
    rule("application of patch", r"Application of patch (?P<p>\S{1,200}) failed", lambda m: build.dkms_tree(f"the patch {m['p']} does not fit the source")),
    rule("build of", r"Build of (?P<m>[\w.-]{1,100}) failed for:? {r}", lambda m: build.dkms_nothing_built(m["m"])),
    rule("name of the generated module", r"Make sure the name of the generated module is correct", lambda _: build.dkms_nothing_built("the module"), general=True),
    rule("bad return status", r"Bad return status for module build on kernel: {r}", lambda m: build.dkms_build("", m["r"]), general=True),
    rule("bad exit status", r"\(bad exit status: \d{1,3}\)", lambda _: build.dkms_build("", ""), general=True),
    rule("consult", r"Consult (?P<l>/var/lib/dkms/(?P<m>[^/\s]{1,100})/\S{1,300}make\.log)", lambda m: build.dkms_build(m["m"], "", m["l"]), general=True),
    rule("autoinstall on", r"autoinstall on {r}\S{0,20} (?:failed|was skipped) for (?:module\(?s?\)? )?(?P<m>[\w.+-]{1,100})", lambda m: build.dkms_build(m["m"], m["r"].partition("/")[0]), general=True),
    rule("failed to install during autoinstall", r"modules failed to install during autoinstall", lambda _: build.dkms_build("", ""), general=True),
    rule("remake_initrd", r"Deprecated feature: (?:REMAKE_INITRD|\w{1,40})", lambda m: drivers.harmless("DKMS does not read this setting any more", m[0])),
    rule("dkms apport", r"dkms apport: kernel package {any}is not supported", lambda m: drivers.harmless("the crash reporter has nothing to send it to", m[0])),
    rule("building rpms failed", r"Building rpms failed; see (?P<l>\S{1,300})", lambda m: installers.build_failed(m["l"])),
    rule("kmod[failed]", r"Building and installing (?P<m>[\w-]{1,64}?)-kmod ?\[ ?FAILED ?\]", lambda m: installers.build_failed(f"/var/cache/akmods/{m['m']}/", m["m"])),
    rule("akmods", r"akmods?:? [^\n]{0,80}(?P<l>/var/cache/akmods/\S{1,200}\.log)", lambda m: installers.build_failed(m["l"])),
)  # fmt: skip

SIGNING = (
    rule("sign-file", r"sign-file: (?P<f>\S{1,300}): (?:No such file|[^\n]{0,100}(?:error|failed))", lambda m: installers.not_signed(f"sign-file: {m['f']} is not there")),
    rule("ssl error", r"- SSL error:[0-9A-Fa-f]{8}:[^\n]{0,120}(?P<w>No such file|no such file|bad decrypt|bad password|fopen|unsupported|PEM|ASN1)", lambda m: installers.not_signed("sign-file has no key it can read: OpenSSL says so"), general=True),
    rule("sign-file", r"(?:Binary )?\S{0,200}sign-file:? (?:not found|No such file)[^\n]{0,60}", lambda m: installers.not_signed("the program sign-file is not there")),
    rule("won't be signed", r"[^\n]{0,120}modules (?:won't|will not) be signed", lambda m: installers.not_signed(m[0].strip().rstrip(".")), general=True),
    rule("module signing", r"built without module signing facility", lambda m: drivers.harmless("this kernel takes unsigned modules", m[0])),
    rule("skipping depmod", r"Skipping depmod", lambda m: installers.depmod_skipped("the System.map of the kernel is not in its source folder")),
    rule("system.map", r"missing '?System\.map'? file", lambda m: installers.depmod_skipped("the System.map of the kernel is not there")),
    rule("efi variables are not supported", r"EFI variables are not supported on this system", lambda _: installers.enrolment("the machine was not started through EFI, or hides its variables")),
    rule("support secure boot", r"This system doesn't support Secure Boot", lambda _: installers.enrolment("this system does not support Secure Boot")),
    rule("enroll", r"Failed to (?:enroll new keys|request new MokList\w{0,4}|enrol)", lambda m: installers.enrolment(m[0])),
    rule("already enrolled", r"is already (?:enrolled|in the enrollment request)", lambda m: drivers.harmless("the key is enrolled, or waits for the next boot", m[0])),
    rule("secure boot not enabled", r"Secure Boot not enabled on this system", lambda m: drivers.harmless("no signature is needed", m[0])),
    rule("x.509", r"Problem loading (?:in-kernel )?X\.509 certificate|Couldn't get size: 0x800000000000000e|MODSIGN: Couldn't get UEFI \S{1,10} list", lambda m: drivers.harmless("the firmware has no such list of keys", m[0])),
)  # fmt: skip

BUILDS: tuple[LogRule, ...] = (*HEADERS, *MODPOST, *DKMS, *SIGNING, *KBUILD)
