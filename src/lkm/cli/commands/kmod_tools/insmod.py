"""Insert a module into a kernel, by file."""

from __future__ import annotations

import errno

from lkm.cli import refusal
from lkm.cli.kernel_choice import KERNEL, opened, tell_passing
from lkm.cli.kmod_log import Log, Priority
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.cli.kmod_options import run as run_tool
from lkm.cli.output import print_json
from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.kernel import LoadFlags

TOOL = Tool(
    "insmod",
    ("[options] filename [args]",),
    (
        VERSION,
        HELP,
        Option("f", help="Ignore the module's version magic and symbol versions"),
        Option("p", help="Ignored, for compatibility"),
        Option("s", help="Ignored, for compatibility"),
        KERNEL,
        JSON,
    ),
    operands="file",
)

_LOG = Log("insmod")

# tools/insmod.c: mod_strerror
_WORDS = {
    errno.ENOEXEC: "Invalid module format",
    errno.ENOENT: "Unknown symbol in module",
    errno.ESRCH: "Module has wrong symbol version",
    errno.EINVAL: "Invalid parameters",
}


def run(arguments: list[str]) -> int:
    """Run ``insmod ARGUMENTS``."""
    return run_tool(TOOL, arguments, _insmod)


def _insmod(parsed: Parsed) -> int:
    if not parsed.operands:
        _LOG(Priority.ERROR, "missing filename.")
        return 1
    path, *words = parsed.operands
    if path == "-":
        _LOG(Priority.ERROR, "this tool does not support loading from stdin!")
        return 1
    try:
        with open(path, "rb"):
            pass
    except OSError as failure:
        _LOG(Priority.ERROR, f"could not load module {path}: {failure.strerror}")
        return 1
    return _load(parsed, path, " ".join(words))


def _load(parsed: Parsed, path: str, parameters: str) -> int:
    flags = LoadFlags.NONE
    if parsed.has("f"):
        flags = LoadFlags.IGNORE_VERMAGIC | LoadFlags.IGNORE_MODVERSIONS
    where = parsed.last("kernel")
    with opened(where, for_file=path) as kernel:
        try:
            module = kernel.load(path, parameters, flags=flags)
        except KernelDiedError:
            raise
        except KernelError as failure:
            reason = refusal.outcome_text(failure.errno, failure.signal, _WORDS)
            _LOG(Priority.ERROR, f"could not insert module {path}: {reason}")
            refusal.kernel_log(failure.log)
            refusal.because(kernel, path, parameters, failure)
            return 1
        if parsed.has("json"):
            print_json("insmod", kernel=kernel.name, module=module)
        else:
            advice = f"lkm try {path} loads it, uses it and unloads it in one"
            tell_passing("insmod", where, advice)
    return 0
