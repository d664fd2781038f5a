"""List modules and static device nodes, as the kmod program does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from lkm.cli import kmod_options, registry
from lkm.cli.commands.kmod_tools import lsmod
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, OptionError, Parsed, Tool
from lkm.operations.static_nodes import DeviceNode, static_nodes
from lkm.tree.root import Root

TOOL = Tool("kmod", ("[options] command [command options]",), (VERSION, HELP), operands="")
STATIC_NODES = Tool(
    "static-nodes",
    ("[options]",),
    (
        Option("f", "format", "FORMAT", "human (the default), tmpfiles or devname"),
        Option("o", "output", "FILE", "Write to FILE"),
        Option("", "dirname", "DIR", "Use DIR as root directory for lib/modules", own=True),
        Option("", "set-version", "VERSION", "Use VERSION instead of `uname -r`", own=True),
        JSON,
        HELP,
    ),
    operands="",
)


def run(arguments: list[str]) -> int:
    """Run kmod with ``arguments`` and return its exit status."""
    options = 0
    while options < len(arguments) and arguments[options].startswith("-"):
        options += 1
    try:
        parsed = kmod_options.parse(TOOL, arguments[:options])
    except OptionError as error:
        print(error, file=sys.stderr)
        return 1
    if parsed.options:
        is_version = parsed.options[0][0] == VERSION.key
        return kmod_options.run(TOOL, ["-V"], lambda _: 0) if is_version else _help([])
    if options == len(arguments):
        print("missing command", file=sys.stderr)
        _help([])
        return 1
    command = _COMMANDS.get(arguments[options])
    if command is None:
        print(f"invalid command '{arguments[options]}'", file=sys.stderr)
        _help([])
        return 1
    return command(arguments[options + 1 :])


def _help(_arguments: list[str]) -> int:
    tools = sorted(registry.KMOD_TOOLS - {"kmod"})
    lines = [
        kmod_options.help_text(TOOL),
        "\nCommands:\n",
        *(f"  {name:<12} {summary}\n" for name, summary in _SUMMARIES.items()),
        "\nCalled by one of these names, it is that tool:\n",
        *(f"  {name:<12} {registry.summary(name)}\n" for name in tools if registry.summary(name)),
    ]
    sys.stdout.write("".join(lines))
    return 0


def _static_nodes(arguments: list[str]) -> int:
    return kmod_options.run(STATIC_NODES, arguments, _static_nodes_body)


def _static_nodes_body(parsed: Parsed) -> int:
    chosen = parsed.last("format") or "human"
    if chosen not in _FORMATS:
        print(f"Unknown format: '{chosen}'.", file=sys.stderr)
        sys.stdout.write(kmod_options.help_text(STATIC_NODES))
        return 1
    root = Root(parsed.last("dirname") or "/", parsed.last("set-version"))
    try:
        nodes, bad = static_nodes(root)
    except FileNotFoundError as error:
        print(f"Warning: {error.filename} not found - ignoring", file=sys.stderr)
        return 0
    for line in bad:
        print(f"Error: invalid devname entry: {line}", end="", file=sys.stderr)
    if parsed.has("json"):
        from lkm.cli.output import print_json  # only for JSON

        print_json("static-nodes", nodes=nodes)
    else:
        _write(parsed.last("output"), "".join(map(_FORMATS[chosen], nodes)))
    return 1 if bad else 0


def _write(path: str | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _human(node: DeviceNode) -> str:
    kind = "character" if node.type == "c" else "block"
    return (
        f"Module: {node.module}\n\tDevice node: /dev/{node.name}\n"
        f"\t\tType: {kind} device\n\t\tMajor: {node.major}\n\t\tMinor: {node.minor}\n"
    )


def _tmpfiles(node: DeviceNode) -> str:
    folder, slash, _ = node.name.rpartition("/")
    directory = f"d /dev/{folder} 0755 - - -\n" if slash else ""
    return f"{directory}{node.type}! /dev/{node.name} 0600 - - - {node.major}:{node.minor}\n"


def _devname(node: DeviceNode) -> str:
    return f"{node.module} {node.name} {node.type}{node.major}:{node.minor}\n"


_FORMATS: dict[str, Callable[[DeviceNode], str]] = {
    "human": _human,
    "tmpfiles": _tmpfiles,
    "devname": _devname,
}
_SUMMARIES = {
    "help": "Show this help",
    "list": "List the loaded modules",
    "static-nodes": "Show the device nodes that load a module when opened",
}
_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "help": _help,
    "list": lsmod.run,
    "static-nodes": _static_nodes,
}
