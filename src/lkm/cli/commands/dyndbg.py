"""List and switch a kernel's dynamic-debug messages."""

from __future__ import annotations

import click

from lkm.cli.findings import printable
from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.operations.running import dyndbg
from lkm.operations.running.dyndbg import DebugSite, Query


@click.command("dyndbg")
@click.argument("module", metavar="[MODULE]", default="")
@click.option("--file", default="", metavar="GLOB", help="The source file, its path or its name.")
@click.option("--func", "function", default="", metavar="GLOB", help="The function.")
@click.option("--line", "lines", default="", metavar="N[-M]", help="The line, or a range.")
@click.option(
    "--format", "text", default="", metavar="TEXT", help="A part of the message; ^ begins it."
)
@click.option("--class", "class_name", default="", metavar="NAME", help="The class of messages.")
@click.option("--set", "flags", default="", metavar="FLAGS", help="+p on, -p off, =pmflt, =_ none.")
@click.option("--at-load", is_flag=True, help="Print the module option that does it while loading.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@kernel_option()
def command(
    *,
    module: str,
    file: str,
    function: str,
    lines: str,
    text: str,
    class_name: str,
    flags: str,
    at_load: bool,
    as_json: bool,
    where: str,
) -> int:
    """List the call sites of pr_debug, dev_dbg and their kin, or with --set switch them.

    Exit status: 1 when no site is meant.
    """
    query = Query(module, file, function, lines, text, class_name)
    if at_load:
        if not flags:
            raise UsageError("--at-load needs --set", hint="lkm dyndbg --at-load --set +p")
        option = dyndbg.option_at_load(query, flags)
        if as_json:
            print_json("dyndbg", option=option)
        else:
            click.echo(option)
        return 0
    with opened(where) as kernel:
        if module and not any(character in module for character in "*?["):
            _check_loaded(kernel, module)
        if flags:
            changed = dyndbg.change(kernel, query, flags)
            written, found = changed.command, changed.sites
        else:
            written, found = "", dyndbg.sites(kernel, query)
    if as_json:
        print_json("dyndbg", command=written, sites=found)
    else:
        click.echo("".join(_line(site) for site in found), nl=False)
    return 0 if found else 1


def _check_loaded(kernel: Kernel, module: str) -> None:
    """Raise NotFoundError for a module file that is not loaded, whose sites no kernel lists."""
    if kernel.is_loaded(module) or dyndbg.sites(kernel, Query(module)):
        return
    own = not kernel.syscalls.shares_host_files
    raise NotFoundError(
        f"{module} is not loaded in {kernel.name}, nor built into it with dynamic debug",
        hint=f"lkm dyndbg {module} --at-load --set +p gives the option that switches them on while "
        "it is loaded"
        if own
        else f"lkm modprobe {module}",
    )


def _line(site: DebugSite) -> str:
    flags = site.flags or "-"
    class_name = f" class:{site.class_name}" if site.class_name else ""
    place = f"{site.file}:{site.line} [{site.module}] {site.function}"
    return f"{flags:6} {place} {printable(site.format.rstrip())!r}{class_name}\n"
