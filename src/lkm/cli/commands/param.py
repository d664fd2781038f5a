"""List, read and set a module's parameters."""

from __future__ import annotations

import click

from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.errors import NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.operations.running.parameters import ParameterState, parameters


@click.command("param")
@click.argument("module")
@click.argument("assignments", metavar="[NAME[=VALUE]]...", nargs=-1)
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(module: str, assignments: tuple[str, ...], where: str, as_json: bool) -> None:
    """Show the parameters of MODULE, the value of NAME, or set NAME to VALUE in the kernel.

    The list has value, type, permission, description, and the rules that give a value at load.
    """
    with opened(where) as kernel:
        if assignments:
            chosen = [_one(kernel, module, word) for word in assignments]
        else:
            chosen = list(parameters(kernel, module))
        name = kernel.name
    if as_json:
        print_json("param", kernel=name, module=module, parameters=chosen)
    elif assignments:
        for word, parameter in zip(assignments, chosen, strict=True):
            if "=" not in word:
                click.echo(parameter.value if parameter.value is not None else "")
    else:
        for parameter in chosen:
            _print(parameter)


def _one(kernel: Kernel, module: str, word: str) -> ParameterState:
    name, equals, value = word.partition("=")
    if equals:
        kernel.set_parameter(module, name, value)
    for parameter in parameters(kernel, module):
        if parameter.name == name:
            return parameter
    raise NotFoundError(f"module {module} has no parameter {name}")


def _print(parameter: ParameterState) -> None:
    value = "?" if parameter.value is None else parameter.value
    permission = "" if parameter.permission is None else f"{parameter.permission:04o}"
    notes = [note for note in (parameter.type, permission) if note]
    head = f"{parameter.name}={value}"
    click.echo(f"{head}  ({', '.join(notes)})" if notes else head)
    if parameter.description:
        click.echo(f"    {parameter.description}")
    for setting in parameter.settings:
        click.echo(f"    at load: {setting.value or '(set)'}  {setting.source}")
