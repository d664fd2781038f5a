"""Show which modules are loaded."""

from __future__ import annotations

import sys

from lkm.cli import kmod_options
from lkm.cli.kernel_choice import KERNEL
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.kernel.proc import LoadedModule, sysfs_order
from lkm.operations.running.loaded import loaded_modules

TOOL = Tool(
    "lsmod",
    ("[options]",),
    (
        KERNEL,
        Option("", "file", "FILE", "Read this copy of /proc/modules", own=True),
        JSON,
        VERSION,
        HELP,
    ),
    operands="",
)


def run(arguments: list[str]) -> int:
    """Run lsmod with ``arguments`` and return its exit status."""
    return kmod_options.run(TOOL, arguments, _body)


def _body(parsed: Parsed) -> int:
    if parsed.operands:
        print("Usage: lsmod", file=sys.stderr)
        return 1
    path = parsed.last("file") or "/proc/modules"
    try:
        modules = loaded_modules(parsed.last("kernel") or "live", path)
    except FileNotFoundError as error:
        print(f"Error: could not get list of modules: {error.strerror}", file=sys.stderr)
        return 1
    if parsed.has("json"):
        from lkm.cli.output import print_json  # only for JSON

        print_json("lsmod", modules=modules)
    else:
        sys.stdout.write(table(modules))
    if not modules:
        from lkm.cli.kernel_choice import tell_passing  # only where there is nothing to list

        advice = "no module is loaded in it yet (lkm try FILE loads one and tells what it does)"
        tell_passing("lsmod", parsed.last("kernel"), advice)
    return 0


def table(modules: tuple[LoadedModule, ...]) -> str:
    """Return kmod's table (``tools/lsmod.c``)."""
    lines = ["Module                  Size  Used by\n"]
    for module in modules:
        # kmod asks sysfs, whose order is not that of /proc/modules.
        used_by = f" {','.join(sysfs_order(module.holders))}" if module.holders else ""
        lines.append(f"{module.name:<19} {module.size:>8}  {module.refcount or 0}{used_by}\n")
    return "".join(lines)
