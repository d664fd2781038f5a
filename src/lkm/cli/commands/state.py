"""Show a module's life as a kernel shows it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.operations.running.module_state import ModuleState, read_state


@click.command("state")
@click.argument("module")
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(module: str, where: str, as_json: bool) -> None:
    """Show a loaded MODULE: state, reference count, who holds it, where it lies, its parameters."""
    with opened(where) as kernel:
        state = read_state(kernel, module)
        name = kernel.name
    if as_json:
        print_json("state", kernel=name, module=state)
        return
    for label, value in lines(state):
        click.echo(f"{label + ':':<13}{value}")


def lines(state: ModuleState) -> Iterator[tuple[str, str]]:
    """Yield label and value of all there is to say."""
    yield "module", state.name
    yield "state", state.state
    if state.state == "builtin":
        yield from ((f"parm {name}", value) for name, value in state.parameters)
        return
    count = "-" if state.refcount is None else str(state.refcount)
    yield "refcount", count
    yield "held by", ", ".join(state.holders) or "no module"
    yield "holds", ", ".join(state.depends_on) or "no module"
    address = f" at {state.address:#x}" if state.address else ", address hidden"
    yield "size", f"{state.size} bytes{address}"
    yield "init memory", "freed" if state.init_freed else f"{state.init_size} bytes"
    if state.version:
        yield "version", state.version
    if state.source_version:
        yield "srcversion", state.source_version
    taints = ", ".join(f"{flag.letter} ({flag.meaning})" for flag in state.taints)
    yield "taints", taints or "none"
    if state.drivers:
        yield "drivers", ", ".join(state.drivers)
    for name, value in state.parameters:
        yield "parameter", f"{name}={value}"
    for name, place in state.sections:
        yield "section", f"{place:#018x} {name}" if place else name
