"""Run programs and a shell in a virtual machine; list and clean up."""

from __future__ import annotations

import os
import shutil
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any

import click

from lkm.cli.kernel_choice import opened
from lkm.cli.output import print_json
from lkm.errors import UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from lkm.operations.running import vm


def _machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--push", "pushed", multiple=True, metavar="FILE[:PATH]",
                     help="Copy a file or folder into the guest first."),
        click.option("--command-line", default="", metavar="TEXT",
                     help="Add to the kernel's command line."),
        click.option("--memory", default=256, show_default=True, metavar="MIB"),
        click.option("--cpus", default=1, show_default=True),
        click.option("--kernel", "where", default="vm", metavar="RELEASE",
                     help="A release or series that is here (see `lkm kernels`)."),
    ):  # fmt: skip
        function = option(function)
    return function


@click.group("vm")
def command() -> None:
    """Use a kernel in QEMU: fresh each time, gone afterwards, no root needed."""


@command.command("run", context_settings={"ignore_unknown_options": True})
@_machine_options
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def run(program: tuple[str, ...], pushed: tuple[str, ...], **settings: Any) -> int:
    """Run PROGRAM in a fresh machine; its exit status is ours.

    A program that the guest lacks is copied from this machine with its shared libraries.
    """
    with _opened(**settings) as kernel:
        machine = virtual_machine(kernel.syscalls)
        _push_all(machine, pushed)
        name = vm.push_command(machine, program[0])
        handle = machine.spawn(name, *program[1:])
        source = None if sys.stdin.isatty() else vm.standard_input()
        return vm.attach(machine, handle, _write, source)


@command.command("shell")
@_machine_options
@click.option("--python", is_flag=True, help="Python with a `kernel` object, not a shell.")
def shell(pushed: tuple[str, ...], python: bool, **settings: Any) -> int:
    """Open a prompt in a fresh machine: busybox's shell if it is here, else Python."""
    with _opened(**settings) as kernel:
        machine = virtual_machine(kernel.syscalls)
        _push_all(machine, pushed)
        words = vm.shell_command(machine, python=python)
        if not sys.stdin.isatty():
            handle = machine.spawn(*(word for word in words if word != "-i"))
            return vm.attach(machine, handle, _write, vm.standard_input())
        columns, rows = shutil.get_terminal_size()
        handle = machine.spawn(*words, terminal=(rows, columns))
        return _on_terminal(machine, handle)


@command.command("ps")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def ps(as_json: bool) -> None:
    """List the machines that run, and the snapshots that are kept."""
    machines, snapshots = vm.running(), vm.snapshots()
    if as_json:
        print_json("vm-ps", machines=machines, snapshots=snapshots)
        return
    click.echo(f"{'PID':>8} {'OWNER':>8} {'AGE':>8} {'MEMORY':>8}  KERNEL  (OWNER'S COMMAND)")
    for machine in machines:
        click.echo(
            f"{machine.pid:>8} {machine.owner:>8} {machine.age:>7.0f}s "
            f"{machine.memory >> 20:>5} MiB  {machine.release}  ({machine.owner_command[:60]})"
        )
    click.echo(f"snapshots: {len(snapshots)}")
    for snapshot in snapshots:
        click.echo(f"  {snapshot.size >> 20:>5} MiB  {snapshot.description}")


@command.command("clean")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def clean(as_json: bool) -> None:
    """Remove all snapshots; running machines live on."""
    freed = vm.clean()
    if as_json:
        print_json("vm-clean", freed=freed)
    else:
        click.echo(f"{freed >> 20} MiB freed")


def _opened(where: str, **settings: Any) -> Kernel:
    if where.partition(":")[0] != "vm":
        where = f"vm:{where}"
    return opened(where, **settings)


def _push_all(machine: VirtualMachine, pushed: tuple[str, ...]) -> None:
    for item in pushed:
        source, _, target = item.partition(":")
        if not os.path.exists(source):
            raise UsageError(f"--push {item}: {source} does not exist")
        machine.push(source, target or f"/{os.path.basename(os.path.abspath(source))}")


def _write(stdout: bytes, stderr: bytes) -> None:
    for stream, data in ((sys.stdout, stdout), (sys.stderr, stderr)):
        if data:
            stream.buffer.write(data)
            stream.flush()


def _on_terminal(machine: VirtualMachine, handle: int) -> int:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        return vm.attach(machine, handle, _write, descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
