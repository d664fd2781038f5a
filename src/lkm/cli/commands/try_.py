"""Try a module in a kernel of its own: load it, see what it does, unload it."""

from __future__ import annotations

from typing import Any, Literal

import click

from lkm.cli.kernel_choice import complete_kernel
from lkm.cli.try_text import JsonLines, TextPrinter
from lkm.errors import UsageError
from lkm.operations.trial.request import Action, Procedure, TrialRequest, Watching
from lkm.operations.trial.trial import run


class _InOrder(click.Option):
    """An option whose values are kept together with those of its like, in the order given."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Note each value in ``ctx.meta`` before click sorts it under its option."""
        super().add_to_parser(parser, ctx)
        option = parser._long_opt[self.opts[0]]
        process = option.process

        def noting(value: str, state: Any) -> None:
            ctx.meta.setdefault("lkm.actions", []).append(
                _action(self.opts[0], value if isinstance(value, str) else "")
            )
            process(value, state)

        option.process = noting


_KINDS: dict[
    str, Literal["set", "read", "write", "open", "close", "unload", "ioctl", "mount", "run"]
] = {
    "--set": "set",
    "--read": "read",
    "--write": "write",
    "--open": "open",
    "--close": "close",
    "--unload": "unload",
    "--ioctl": "ioctl",
    "--mount": "mount",
    "--run": "run",
}


def _action(option: str, text: str) -> Action:
    target, equals, value = text.partition("=")
    if option in ("--read", "--open", "--close", "--unload", "--run"):
        return Action(_KINDS[option], text)
    if option == "--mount" and target:
        return Action("mount", target, value)
    if not target or not equals:
        raise UsageError(f"{option} {text}: expected {'PARAM' if option == '--set' else 'PATH'}=…")
    return Action(_KINDS[option], target, value)


def _number(fail_alloc: str | None) -> int:
    if fail_alloc in (None, "each"):
        return 0
    assert fail_alloc is not None
    if not fail_alloc.isdigit() or not int(fail_alloc):
        raise UsageError(f"--fail-alloc {fail_alloc}: expected a number from 1, or each")
    return int(fail_alloc)


@click.command("try", context_settings={"ignore_unknown_options": False})
@click.argument("what", metavar="FILE.ko|FILE.c|FOLDER|NAME")
@click.argument("parameters", metavar="[PARAM=VALUE]...", nargs=-1)
@click.option("--kernel", metavar="KERNEL", default="emulated", show_default=True,
              shell_complete=complete_kernel,
              help="emulated[:RELEASE|PATH], vm[:RELEASE|PATH] or live.")  # fmt: skip
@click.option("--set", "set_", cls=_InOrder, multiple=True, metavar="PARAM=VALUE",
              help="Set a parameter while it is loaded.")  # fmt: skip
@click.option("--read", cls=_InOrder, multiple=True, metavar="PATH|PARAM",
              help="Show a file of /sys, /proc or /dev, or a parameter.")  # fmt: skip
@click.option("--write", cls=_InOrder, multiple=True, metavar="PATH=TEXT",
              help="Write to a file or a device.")  # fmt: skip
@click.option("--open", "open_", cls=_InOrder, multiple=True, metavar="PATH",
              help="Open a device and keep it open, until --close or the end.")  # fmt: skip
@click.option("--close", cls=_InOrder, multiple=True, metavar="PATH", help="Close what was opened.")
@click.option("--unload", cls=_InOrder, count=True,
              help="Ask the kernel to unload it now, also where something holds it.")  # fmt: skip
@click.option("--ioctl", cls=_InOrder, multiple=True, metavar="PATH=REQUEST[,ARG]",
              help="Make an ioctl of a device; ARG is a number or hex:BYTES.")  # fmt: skip
@click.option("--mount", cls=_InOrder, multiple=True, metavar="TYPE[=SOURCE]",
              help="Mount a file system and list it, until the end.")  # fmt: skip
@click.option("--run", "run_", cls=_InOrder, multiple=True, metavar="PROGRAM",
              help="Run a program of this machine in the virtual machine.")  # fmt: skip
@click.option("--module", "select", metavar="NAME", default="",
              help="The one to try, of a folder that builds several.")  # fmt: skip
@click.option("--make", multiple=True, metavar="VAR=VALUE", help="A variable for make.")
@click.option("--in-place", is_flag=True, help="Build in the source's own folder, not in a copy.")
@click.option("--compile-commands", metavar="FILE", default="",
              help="Write the compile_commands.json of the build there.")  # fmt: skip
@click.option("--fail-alloc", metavar="N|each",
              help="Fail its Nth allocation, or each in turn in a fresh kernel.")  # fmt: skip
@click.option("--fast", is_flag=True,
              help="Do not guard its memory or check locking and what it leaves.")  # fmt: skip
@click.option("--guard", is_flag=True, hidden=True, help="Guard its memory (the default).")
@click.option("--wait", type=click.FloatRange(0, 3600), metavar="SECONDS",
              help="Let time pass after loading and unloading (1; with --fast 0).")  # fmt: skip
@click.option("--trace", is_flag=True, help="List its calls into the kernel.")
@click.option("--stages", is_flag=True, help="List the kernel's own functions it passes.")
@click.option("--memory", is_flag=True, help="Show where its sections are put, and what goes.")
@click.option("--sig-enforce", is_flag=True, help="Let the kernel demand a valid signature.")
@click.option("--lockdown", is_flag=True, help="Lock the kernel down, as Secure Boot does.")
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True),
              default=60.0, show_default=True,
              help="End it when it has not come to an end by then.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Do not unload it.")
@click.option("--fetch", is_flag=True, help="Download the kernel and headers that are missing.")
@click.option("--verbose", is_flag=True, help="Leave nothing out of what is told.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per event.")
@click.pass_context
def command(  # noqa: PLR0917 - one parameter an option
    ctx: click.Context,
    what: str,
    parameters: tuple[str, ...],
    kernel: str,
    set_: tuple[str, ...],
    read: tuple[str, ...],
    write: tuple[str, ...],
    open_: tuple[str, ...],
    close: tuple[str, ...],
    unload: int,
    ioctl: tuple[str, ...],
    mount: tuple[str, ...],
    run_: tuple[str, ...],
    select: str,
    make: tuple[str, ...],
    in_place: bool,
    compile_commands: str,
    fail_alloc: str | None,
    fast: bool,
    guard: bool,
    wait: float | None,
    trace: bool,
    stages: bool,
    memory: bool,
    sig_enforce: bool,
    lockdown: bool,
    timeout: float,
    keep: bool,
    fetch: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Load a module into a kernel of its own, report everything that happens, unload it.

    The module is a file, a name in the kernel's module tree, or source that is built first. The
    kernel is a distribution's, unmodified, in an emulator or a virtual machine: no root is needed,
    and nothing happens to this machine, unless --kernel live says so. --set, --read and --write
    act in the order given.
    """
    procedure = Procedure(
        parameters,
        tuple(ctx.meta.get("lkm.actions", ())),
        sig_enforce=sig_enforce,
        lockdown=lockdown,
        keep=keep,
        wait=(0.0 if fast else 1.0) if wait is None else wait,
        timeout=timeout,
    )
    request = TrialRequest(
        what,
        procedure,
        kernel=kernel,
        select=select,
        fetch=fetch,
        watching=Watching(guard, trace, _number(fail_alloc), fast, stages, memory),
        fail_each=fail_alloc == "each",
        make=make,
        in_place=in_place,
        compile_commands=compile_commands,
    )
    printer = JsonLines() if as_json else TextPrinter(verbose=verbose)
    try:
        return 1 if run(request, printer).problems else 0
    except KeyboardInterrupt:
        printer.interrupted()
        raise
    finally:
        printer.close()
