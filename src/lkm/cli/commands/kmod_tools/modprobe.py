"""Load and unload modules with all they need, or show what that would do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lkm.cli import kmod_options
from lkm.cli.kernel_choice import KERNEL
from lkm.cli.kmod_log import Log, Priority
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.cli.modprobe_settings import Settings, settings_of, split_words
from lkm.errors import FormatError
from lkm.operations.resolve import is_live, open_kmod_resolver
from lkm.tree.config import KINDS, Rule, softdeps
from lkm.tree.plan import Plan, StepKind
from lkm.tree.resolver import Loaded, Resolver

if TYPE_CHECKING:  # what changes a kernel costs more to import than a plan costs to make
    from lkm.kernel.kernel import Kernel

TOOL = Tool(
    "modprobe",
    (
        "[options] [-i] [-b] modulename [parameter=value...]",
        "[options] -a [-i] [-b] modulename [modulename...]",
        "[options] -r [-a] [-i] modulename [modulename...]",
        "[options] -c",
        "[options] --dump-modversions|--show-exports filename",
    ),
    (
        Option("a", "all", help="Take every argument as a module to load or remove"),
        Option("r", "remove", help="Remove modules instead of loading them"),
        Option("", "remove-holders remove-dependencies", help="Remove what holds them, too"),
        Option("w", "wait", "MSEC", "With -r: wait for a module in use"),
        Option("R", "resolve-alias show-alias", help="Print the modules a name stands for"),
        Option("", "first-time", help="Fail if the module is already loaded or removed"),
        Option("i", "ignore-install ignore-remove", help="Ignore install or remove commands"),
        Option("b", "use-blacklist", help="Apply the blacklist to names as well as aliases"),
        Option("f", "force", help="Ignore version magic and symbol versions"),
        Option("", "force-modversion", help="Ignore symbol versions"),
        Option("", "force-vermagic", help="Ignore version magic"),
        Option("D", "show-depends", help="Print what would be loaded, and in which order"),
        Option("c", "showconfig show-config", help="Print the configuration and the aliases"),
        Option("", "dump-modversions show-modversions", help="Print a file's symbol versions"),
        Option("", "show-exports", help="Print the symbols a file exports"),
        Option("n", "dry-run show", help="Do everything but load or remove"),
        Option("C", "config", "PATH", "Read this configuration instead (repeatable)"),
        Option("d", "dirname", "DIR", "Use DIR as root directory for lib/modules"),
        Option("S", "set-version", "VERSION", "Use VERSION instead of `uname -r`"),
        Option("s", "syslog", help="Print messages to syslog"),
        Option("q", "quiet", help="Print no messages"),
        Option("v", "verbose", help="Print more messages"),
        KERNEL,
        JSON,
        VERSION,
        HELP,
    ),
)


def run(arguments: list[str]) -> int:
    """Run modprobe with ``arguments`` and return its exit status (0 or 1)."""
    words = split_words(os.environ.get("MODPROBE_OPTIONS", ""))
    return kmod_options.run(TOOL, [*words, *arguments], _body)


def _body(parsed: Parsed) -> int:
    settings = settings_of(parsed)
    log = Log("modprobe", settings.threshold, settings.syslog)
    if settings.wait is None:
        log(Priority.ERROR, f"unexpected wait value '{parsed.last('wait')}'.")
        return 1
    if not settings.names and not parsed.has("showconfig"):
        Log("modprobe")(Priority.ERROR, "missing parameters. See -h.")
        return 1
    os.environ.update(settings.environment)
    if parsed.has("dump-modversions"):
        return _show_versions(_file_of(settings), log)
    if parsed.has("show-exports"):
        return _show_exports(_file_of(settings), log)
    if parsed.has("showconfig") or not settings.changes:
        resolver = open_kmod_resolver(settings.directory, settings.release, settings.config_paths)
        _report_config(resolver, log)
        if parsed.has("showconfig"):
            return _show_config(resolver, settings)
        return _insert(resolver, settings, None, log)
    return _change(parsed, settings, log)


def _change(parsed: Parsed, settings: Settings, log: Log) -> int:
    from lkm.cli import modprobe_load  # see TYPE_CHECKING above

    with modprobe_load.open_for(settings) as kernel:
        directory, release = modprobe_load.tree_of(kernel, settings)
        resolver = open_kmod_resolver(directory, release, settings.config_paths)
        _report_config(resolver, log)
        if parsed.has("remove"):
            return modprobe_load.remove(resolver, kernel, settings, log)
        return _insert(resolver, settings, kernel, log)


def _report_config(resolver: Resolver, log: Log) -> None:
    config = resolver.config
    for path in config.directories_inside:
        log(Priority.ERROR, f"Directories inside directories are not supported: {path}")
    for bad in config.bad_lines:
        path = bad.source.path
        if bad.deprecated:
            text = f"{path}: command {bad.word} is deprecated and not parsed anymore"
        else:
            text = f"{path} line {bad.last_line}: ignoring bad line starting with '{bad.word}'"
        log(Priority.ERROR, text)


# Loading


def _insert(resolver: Resolver, settings: Settings, kernel: Kernel | None, log: Log) -> int:
    requests = [(name, "") for name in settings.names]
    if not settings.all:
        requests = [(settings.names[0], settings.parameters)]
    plans = []
    status = 0
    loaded = _loaded_in(kernel) if kernel else is_live
    for name, parameters in requests:
        plan = resolver.resolve(
            name,
            parameters,
            ignore_commands=settings.ignore_commands,
            use_blacklist=settings.use_blacklist,
            loaded=None if settings.show_depends else loaded,
        )
        plans.append(plan)
        for problem in plan.problems:
            log(Priority.WARNING, problem)
        if plan.targets:
            status |= _do(plan, settings, kernel, log)
        else:
            not_found = f"Module {name} not found in directory {resolver.directory}"
            log(Priority.WARNING if settings.all else Priority.FATAL, not_found)
            status = 1
    if settings.as_json:
        from lkm.cli.output import print_json  # only for JSON

        print_json("modprobe", plans=plans)
    return status


def _loaded_in(kernel: Kernel) -> Loaded:
    from lkm.operations.running.load import loaded_in  # see TYPE_CHECKING above

    return loaded_in(kernel)


def _do(plan: Plan, settings: Settings, kernel: Kernel | None, log: Log) -> int:
    if settings.resolve_only:
        if not settings.as_json:
            sys.stdout.writelines(f"{target.module}\n" for target in plan.targets)
        return 0
    if settings.shows and not settings.as_json:
        # What is built in is told by -D alone; otherwise it is there and nothing is done.
        sys.stdout.writelines(plan_lines(plan, builtin=settings.show_depends))
        sys.stdout.flush()  # before what a command that is run may print
    if settings.first_time and not settings.show_depends and (there := _already_there(plan)):
        log(Priority.ERROR, f"could not insert '{there}': Module already in kernel")
        return 1
    if kernel is None:  # nothing is to be changed
        return 0
    from lkm.cli import modprobe_load  # see TYPE_CHECKING above

    return modprobe_load.load(plan, kernel, settings, log)


def _already_there(plan: Plan) -> str:
    """The module that --first-time complains about, if the last target was there already."""
    for target in plan.targets[-1:]:
        if len(target.steps) == 1 and target.steps[0].kind in _THERE:
            return target.module
    return ""


_THERE = (StepKind.ALREADY_LOADED, StepKind.BUILTIN)


def plan_lines(plan: Plan, *, builtin: bool = True) -> Iterable[str]:
    """Yield a plan's steps as ``modprobe -D`` prints them (kmod's ``print_action``)."""
    for step in plan.steps:
        if step.kind is StepKind.INSMOD:
            yield f"insmod {step.path} {step.options}\n"
        elif step.kind is StepKind.INSTALL:
            yield f"install {step.command} {step.options}\n"
        elif step.kind is StepKind.BUILTIN and builtin:
            yield f"builtin {step.module}\n"


# Showing


def _show_config(resolver: Resolver, settings: Settings) -> int:
    if settings.as_json:
        from lkm.cli.output import print_json  # only for JSON

        print_json("modprobe", rules=resolver.config.rules)
        return 0
    sys.stdout.writelines(config_lines(resolver))
    return 0


def config_lines(resolver: Resolver) -> Iterable[str]:
    """Yield the rules and the alias indexes as ``modprobe -c`` prints them."""
    for kind in KINDS:
        for rule in resolver.config.of(kind):
            yield f"{kind} {rule.name}{_config_value(rule)}\n"
    yield "\n# End of configuration files. Dumping indexes now:\n\n"
    for index in ("modules.alias", "modules.symbols"):
        for key, value in resolver.indexes.items(index):
            yield f"alias {key} {value.value}\n"


def _config_value(rule: Rule) -> str:
    if rule.kind == "blacklist":
        return ""
    if rule.kind == "weakdep":
        return "".join(f" {name}" for name in rule.value.split())
    if rule.kind != "softdep":
        return f" {rule.value}"
    pre, post = softdeps(rule.value)
    # kmod 30 puts nothing between the two lists.
    lists = (f"{key}: {' '.join(names)}" for key, names in (("pre", pre), ("post", post)) if names)
    return " " + "".join(lists)


def _file_of(settings: Settings) -> str:
    """Return the file that the first operand names, or that of the module of that name.

    A name that no module has is returned as it is, for the message.
    """
    name = settings.names[0]
    if os.path.exists(name) or "/" in name:
        return name
    resolver = open_kmod_resolver(settings.directory, settings.release, settings.config_paths)
    paths = (resolver.path_of(candidate) for candidate in resolver.lookup(name))
    return next(filter(None, paths), name)


def _show_versions(path: str, log: Log) -> int:
    from lkm.operations.symbol_versions import (
        symbol_versions,
    )  # reads a module, as little else does

    return _show_crcs(path, log, symbol_versions, "modversions")


def _show_exports(path: str, log: Log) -> int:
    from lkm.operations.symbol_versions import exported_versions  # as above

    return _show_crcs(path, log, exported_versions, "symbols")


def _show_crcs(
    path: str, log: Log, read: Callable[[str], tuple[tuple[str, int], ...]], what: str
) -> int:
    if not os.path.exists(path):
        log(Priority.FATAL, f"Module {path} not found.")
        return 1
    try:
        found = read(path)
    except FormatError:
        log(Priority.FATAL, f"could not get {what} of {path}: Exec format error")
        return 1
    if not found:
        log(Priority.FATAL, f"could not get {what} of {path}: No such file or directory")
        return 1
    sys.stdout.writelines(f"0x{crc:08x}\t{symbol}\n" for symbol, crc in found)
    return 0
