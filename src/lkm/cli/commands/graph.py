"""Draw what a module needs, or who needs it."""

from __future__ import annotations

import shutil
import subprocess

import click

from lkm.cli.output import print_json
from lkm.cli.tree_options import OpenTree, tree_options
from lkm.errors import ToolError, UsageError
from lkm.operations.graph import Edge, Graph, graph_of, reverse_graph_of, whole_graph


@click.command("graph")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="All modules of the tree.")
@click.option("--reverse", is_flag=True, help="Who needs NAME, instead of what it needs.")
@click.option("--dot", is_flag=True, help="Print the graph for graphviz.")
@click.option("--svg", is_flag=True, help="Print a picture; needs graphviz.")
@tree_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    *,
    name: str | None,
    everything: bool,
    reverse: bool,
    dot: bool,
    svg: bool,
    open_tree: OpenTree,
    as_json: bool,
) -> None:
    """Draw what NAME (a module or an alias) needs, as a tree.

    (pre) and (post) are softdeps, (weak) is for an initramfs only. A dependency that another one
    brings is not drawn twice.
    """
    if (name is None) != everything:
        raise UsageError("name a module, or give --all")
    if name is None:
        graph = whole_graph(open_tree())
    else:
        graph = (reverse_graph_of if reverse else graph_of)(open_tree(), name)
    if as_json:
        print_json(
            "graph",
            roots=graph.roots,
            modules=graph.modules,
            edges=graph.edges,
            problems=graph.problems,
        )
        return
    for problem in graph.problems:
        click.echo(f"note: {problem}", err=True)
    if svg:
        click.echo(_svg(dot_text(graph)), nl=False)
    elif dot:
        click.echo(dot_text(graph), nl=False)
    else:
        click.echo(tree_text(graph, reverse=reverse), nl=False)


def tree_text(graph: Graph, *, reverse: bool = False) -> str:
    """Return the graph as an indented tree; what was drawn above is only named again."""
    below: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        below.setdefault(edge.needs if reverse else edge.module, []).append(edge)
    lines: list[str] = []
    drawn: set[str] = set()
    todo = [(root, "", "", "") for root in reversed(graph.roots)]
    while todo:
        module, before, branch, mark = todo.pop()
        children = below.get(module, [])
        again = " …" if module in drawn and children else ""
        lines.append(f"{before}{branch}{module}{mark}{again}\n")
        if module in drawn:
            continue
        drawn.add(module)
        inner = before + {"": "", "├── ": "│   ", "└── ": "    "}[branch]
        for place, edge in enumerate(reversed(children)):
            child = edge.module if reverse else edge.needs
            soft = "" if edge.kind == "hard" else f" ({edge.kind})"
            todo.append((child, inner, "├── " if place else "└── ", soft))
    return "".join(lines)


def dot_text(graph: Graph) -> str:
    """Return the graph in graphviz's language; other than hard edges are dashed."""
    linked = {end for edge in graph.edges for end in (edge.module, edge.needs)}
    lines = ["digraph modules {\n", "  rankdir=LR;\n", "  node [shape=box];\n"]
    lines += [f"  {_quoted(name)} [style=bold];\n" for name in graph.roots if name in linked]
    lines += [f"  {_quoted(name)};\n" for name in graph.modules if name not in linked]
    for edge in graph.edges:
        style = "" if edge.kind == "hard" else f' [style=dashed, label="{edge.kind}"]'
        lines.append(f"  {_quoted(edge.module)} -> {_quoted(edge.needs)}{style};\n")
    return "".join([*lines, "}\n"])


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _svg(dot: str) -> str:
    command = ["dot", "-Tsvg"]
    if shutil.which("dot") is None:
        raise ToolError("graphviz is not installed", command=command, hint="install graphviz")
    done = subprocess.run(command, input=dot, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(
            "graphviz failed", command=command, returncode=done.returncode, output=done.stderr
        )
    return done.stdout
