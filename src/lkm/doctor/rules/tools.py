"""What the programs that load modules print: kmod, module-init-tools, busybox, toybox, systemd, udev.

Sources: kmod's ``tools/{insmod,modprobe,rmmod}.c`` and ``libkmod``, busybox's ``modutils/``, toybox's
``toys/*/{insmod,modprobe,rmmod}.c``, OpenWrt's ubox ``kmodloader.c``, systemd's ``src/shared/module-util.c``,
Android's ``libmodprobe``.
"""

from __future__ import annotations

import re

from lkm.doctor.causes import drivers, format, installers, permission, state, tree
from lkm.doctor.errors_in_words import number_of
from lkm.doctor.finding import Finding
from lkm.doctor.rules.errno_alone import could_not_insert
from lkm.doctor.rules.rule import LogRule, rule
from lkm.module.image import name_of

_DIRECTORY = r"(?P<d>/\S{0,300}lib/modules/[^/'\"\s:,()]{1,128})"


def module_of(text: str) -> str:
    """Return the module's name from what a tool printed: a name, or a file with its path."""
    return name_of(text.rstrip("/.,")) if text else ""


def _inserted(m: re.Match[str]) -> Finding:
    return could_not_insert(module_of(m["m"]), number_of(m["e"]))


def _removed(m: re.Match[str]) -> Finding:
    module, number = module_of(m["m"]), number_of(m["e"])
    if number == 11:
        return state.in_use(module)
    if number == 16:
        return state.no_exit(module)
    if number == 2:
        return state.not_loaded(module)
    if number == 1:
        return permission.not_permitted(module)
    return state.in_use(module)


def _release(directory: str) -> str:
    return directory.rstrip("/").rpartition("/")[2]


def _not_found(m: re.Match[str]) -> Finding:
    directory = (m.groupdict().get("d") or "").rstrip("./'\"")
    release = _release(directory)
    release = release if release[:1].isdigit() else ""
    return tree.not_found(
        module_of(m["m"]) if ".ko" in m["m"] else m["m"].strip("'\"."), directory, release=release
    )


def _gone(m: re.Match[str]) -> Finding:
    return tree.directory_gone(_release(m["d"]), m["d"])


TOOLS: tuple[LogRule, ...] = (
    # the index or the whole folder is not there
    rule("no such file or directory", rf"(?:FATAL|ERROR|WARNING|modprobe|libkmod)[^\n]{{0,120}}(?:could not (?:search modules|open directory|open moddep file)|Could not load "
         rf"modules\.dep|could not open {{any}}|can't change directory to|{{any}}) ?['\"]?{_DIRECTORY}[^:\n]{{0,80}}: No such file or directory", _gone),
    rule("can't change directory", r"can't change directory to ['\"]?(?P<d>/?[^'\"\n:]{1,300})['\"]?: No such file",
         lambda m: tree.directory_gone(_release(m["d"]) if _release(m["d"])[:1].isdigit() else "", m["d"])),
    rule("could not load", rf"Could not load {_DIRECTORY}/modules\.dep", _gone),
    rule("modules.dep", rf"{_DIRECTORY}/modules\.dep(?:\.bin)?['\"]?[^\n]{{0,40}}(?:not found|No such file|missing)", _gone),
    # not found
    rule("not found in directory", r"Module (?P<m>\S{1,300}) not found in directory (?P<d>\S{1,300})", _not_found),
    rule("not found", r"(?:FATAL|ERROR|WARNING|modinfo|modprobe|insmod)[^\n]{0,60}Module (?P<m>\S{1,300}) not found\b", _not_found),
    rule("failed to find module", r"Failed to find module '?(?P<m>[^'\n]{1,300}?)'?(?:\s|$)", _not_found),
    rule("not found in modules.dep", r"module '?(?P<m>[^'\s]{1,300})'? not found in modules\.dep", _not_found),
    rule("module", r"(?:modprobe|insmod): (?:can't find|no) module (?:named )?'?(?P<m>[\w./-]{1,300})'?", _not_found),
    rule("could not find module by name", r"could not find module by name='(?P<m>[^'\n]{1,300})'", _not_found, general=True),
    rule("failed to find a module named", r"failed to find a module named (?P<m>\S{1,300})", _not_found),
    rule("no such module", r"(?:modprobe|insmod|rmmod)[^\n]{0,40}[: ](?P<m>[\w./-]{1,300}): no such module|no module by (?:that )?name '?(?P<d>[\w./-]{1,300})'?(?: found)?",
         lambda m: state.not_loaded(module_of(m["m"] or m["d"])) if "rmmod" in m[0] else tree.not_found(module_of(m["m"] or m["d"]))),
    rule("kernel does not have requested module", r"{file}'?: kernel does not have requested module", lambda m: tree.not_found(module_of(m["m"]))),
    rule("module not found", r"(?:modprobe|insmod): (?:failed to (?:load|find) )?(?:module )?'?(?P<m>[\w./-]{1,300})'?: [Mm]odule not found", _not_found),
    # in use, built in, not loaded
    rule("is in use by", r"Module '?(?P<m>[\w./-]{1,300})'? is in use by:? (?P<h>[\w, -]{1,500})",
         lambda m: state.in_use(m["m"], re.findall(r"[\w-]+", m["h"]))),
    rule("is in use", r"(?<!key )Module '?(?P<m>[\w./-]{1,300}?)'? is in use", lambda m: state.in_use(m["m"])),
    rule("is not currently loaded", r"Module '?(?P<m>[\w./-]{1,300}?)'? is not currently loaded", lambda m: state.not_loaded(m["m"])),
    rule("does not exist in /proc/modules", r"Module {file} does not exist in /proc/modules", lambda m: state.not_loaded(module_of(m["m"]))),
    rule("is builtin", r"Module '?(?P<m>[\w./-]{1,300}?)'? is (?:builtin|built in)", lambda m: tree.built_in(m["m"].strip("'"))),
    rule("is built in", r"Module '(?P<m>[^'\n]{1,300})' is built in", lambda m: tree.built_in(m["m"])),
    rule("list", r"Module '(?P<m>[^'\n]{1,300})' is (?:deny-listed|blacklisted|denylisted)(?: \(by kmod\))?",
         lambda m: permission.config_blacklist(m["m"], "", by_alias=True)),
    rule("already inserted", r"Module '?(?P<m>[^'\s]{1,300})'? (?:is )?already (?:inserted|loaded)", lambda m: state.already_loaded(module_of(m["m"]))),
    rule("module is already loaded", r"module is already loaded - (?P<m>[\w-]{1,64})", lambda m: state.already_loaded(m["m"])),
    rule("live 0x", r"{m} \d{1,10} \d{1,6} [\w,-]{1,500} (?:Loading|Unloading) 0x", lambda m: state.stuck(m["m"])),
    # removing
    rule("could not remove", r"could not remove (?:module )?'?(?P<m>[\w./-]{1,300})'?: (?P<e>[^\n]{1,200})", _removed, general=True),
    rule("unload", r"(?:rmmod|modprobe): (?:can't unload|can't unload module|failed to unload|ERROR: Removing) '?(?P<m>[\w./-]{1,300})'?: (?P<e>[^\n]{1,200})", _removed, general=True),
    rule("rmmod: remove", r"(?:rmmod|modprobe): (?:remove|ERROR: Removing) '(?P<m>[^'\n]{1,300})': (?P<e>[^\n]{1,200})", _removed, general=True),
    # loading
    rule("could not load module", r"could not load module (?P<m>\S{1,300}): No such file or directory", lambda m: format.file_missing(m["m"])),
    rule("can't read", r"insmod: can't (?:read|open) '(?P<m>[^'\n]{1,300})': No such file", lambda m: format.file_missing(m["m"])),
    rule("could not", r"could not (?:insert|load|re-?insert)(?: module)? '?(?P<m>[^':\s]{1,400})'?: (?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule("failed to", r"failed to (?:insert|load|insmod|init|finit)(?: kernel)?(?: module)? ['\"]?(?P<m>[^'\":\s(]{1,400})['\"]?(?: with args '[^'\n]{0,300}')?(?: \([^)\n]{0,200}\))?[,:] (?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule("insert", r"(?:init_module|finit_module|insmod|modprobe): (?:error inserting|can't insert|cannot insert|can't load module) "
         r"'?(?P<m>[^':\s]{1,400})'?(?: \([^)\n]{1,300}\))?: (?:-?1 )?(?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule("can't load module", r"can't load module '?(?P<m>[^':\s]{1,400})'?(?: \([^)\n]{1,300}\))?: (?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule("error inserting", r"Error inserting (?P<m>[\w.-]{1,100}) \([^)\n]{1,400}\): (?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule(".ko'", r"modprobe: '(?P<m>[^'\n]{1,400}\.ko)': (?P<e>[^\n]{1,300})$", _inserted, general=True),
    rule("init_module", r"f?init_module[(:]{any}['\" ](?P<m>[\w./-]{1,300}\.ko){any}= -1 (?P<e>E[A-Z]{2,15}(?: \([^)\n]{1,80}\))?)",
         lambda m: could_not_insert(module_of(m["m"]), number_of(m["e"].partition("(")[2].rstrip(")"))), general=True),
    rule("unable to load module", r"[Uu]nable to load (?:the )?(?:kernel )?module '?(?P<m>[\w./-]{1,300})'?(?:: (?P<e>[^\n]{1,300}))?",
         lambda m: could_not_insert(module_of(m["m"]), number_of(m["e"] or "")) if m["e"] else installers.script_failed(module_of(m["m"].rstrip("."))), general=True),
    rule("modprobe", r"modprobe (?P<m>[\w-]{1,64}) failed", lambda m: installers.script_failed(m["m"]), general=True),
    rule("failed to load module", r"[Ff]ailed to load (?:kernel )?module '?(?P<m>[\w-]{1,64})'?", lambda m: installers.script_failed(m["m"]), general=True),
    rule("could not be probed", r"\d{1,4} modules? could not be probed", lambda _: installers.script_failed("")),
    rule("kmodloader", r"kmodloader: - (?P<m>[\w-]{1,64}) - 0", lambda m: installers.script_failed(m["m"])),
    rule("module-init-tools", r"(?:QM_MODULES|query_module): Function not implemented", lambda _: permission.no_module_support()),
    rule("function not implemented", r"Failed to (?:lookup module alias|insert module) '(?P<m>[^'\n]{1,300})': Function not implemented", lambda m: permission.no_module_support()),
    # install commands and configuration
    rule("install command", r"Error running install command '(?P<c>[^'\n]{0,400})'? ?(?:for module (?P<m>[\w-]{1,64}))?", lambda m: installers.install_command(m["m"] or "", m["c"]), general=True),
    rule("install command", r"Error running install command for (?P<m>[\w-]{1,64})", lambda m: installers.install_command(m["m"]), general=True),
    rule("ignoring bad line", r"(?P<f>/\S{1,300}) line (?P<n>\d{1,9}): ignoring bad line starting with '(?P<w>[^'\n]{0,100})'", lambda m: installers.bad_config_line(f"{m['f']}:{m['n']}", m["w"])),
    rule("deprecated", r"All config files need \.conf: (?P<f>\S{1,300})", lambda m: installers.bad_config_line(m["f"], "a file without .conf, which is not read")),
    rule("unsupported", r"module '?(?P<m>[\w.-]{1,100}?)(?:\.ko(?:\.\w{2,3})?)?'? is (?:unsupported|not supported by)[^\n]{0,200}", lambda m: drivers.suse_unsupported(m["m"], fatal="taint" not in m[0].lower())),
    rule("allow_unsupported", r"Use --allow-unsupported or set allow_unsupported_modules", lambda _: drivers.suse_unsupported("the module", fatal=True), general=True),
    rule("unsupported module", r"{m}: (?:externally supported module|unsupported module), (?:setting X|tainting) kernel|(?:{o}: )?(?:is an )?unsupported module, tainting kernel", lambda m: drivers.suse_unsupported(m["m"] or m["o"] or "the module", fatal=False)),
    rule("not supported by suse", r"(?:module )?{m}[^\n]{0,40} not supported by SUSE", lambda m: drivers.suse_unsupported(m["m"], fatal=False)),
    # systemd
    rule("failed to start", r"Failed to start (?:systemd-modules-load\.service|Load Kernel Modules)", lambda _: installers.unit_failed("systemd-modules-load.service"), general=True),
    rule("systemd-modules-load.service", r"systemd-modules-load\.service: (?:Main process exited|Failed with result)", lambda _: installers.unit_failed("systemd-modules-load.service"), general=True),
    rule("modprobe@", r"modprobe@(?P<m>[\w-]{1,64})\.service: (?:Main process exited|Failed with result)", lambda m: installers.script_failed(m["m"]), general=True),
    rule("failed to load kernel modules", r"Failed to load (?:the )?kernel modules", lambda _: installers.unit_failed("the unit")),
    # permissions and containers
    rule("must be root", r"(?:modprobe|insmod|rmmod)[^\n]{0,60}(?:must be root|are you root|Permission denied)", lambda _: permission.no_capability()),
    rule("permission denied", r"(?:modprobe|insmod|rmmod)[^\n]{0,120}Permission denied", lambda _: permission.no_capability()),
    rule("command not found", r"(?:^|[: ])(?P<t>modprobe|insmod|depmod|rmmod|lsmod): (?:command )?not found", lambda m: tree.tool_not_on_path(m["t"])),
    rule("required by", r"(?:ERROR: )?(?:could not|couldn't) get modinfo from '(?P<m>[^'\n]{1,300})': (?P<e>[^\n]{1,200})", lambda m: format.damaged(m[0], "", "modinfo cannot read it")),
    rule("get modinfo from", r"could not get modinfo from '(?P<m>[^'\n]{1,300})': (?P<e>[^\n]{1,200})", lambda m: format.damaged(m[0], "", f"modinfo cannot read {m['m']}")),
)  # fmt: skip
