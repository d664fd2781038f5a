"""Which modules need which: the edges of a tree's dependency graph.

``modules.dep`` lists all that a module needs, near and far; here an edge that follows from others
is left out, so that the tree can be read. ``depends=`` of the files may name more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lkm.errors import NotFoundError
from lkm.module.names import module_name
from lkm.tree.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Edge:
    """``module`` needs ``needs``; ``kind`` is ``hard``, ``pre``, ``post`` or ``weak``."""

    module: str
    needs: str
    kind: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Modules, the ones asked for first, and the edges between them.

    ``problems`` are indexes that could not be used, and what was read instead.
    """

    roots: tuple[str, ...]
    modules: tuple[str, ...]
    edges: tuple[Edge, ...]
    problems: tuple[str, ...] = ()


def whole_graph(resolver: Resolver) -> Graph:
    """Return the graph of all modules of the tree."""
    names = sorted(_all_modules(resolver))
    edges = [edge for name in names for edge in _edges(resolver, name)]
    ends = {edge.needs for edge in edges}
    modules = tuple(sorted({*names, *ends}))
    roots = tuple(name for name in modules if name not in ends)
    return _graph(resolver, roots, modules, edges)


def graph_of(resolver: Resolver, name: str) -> Graph:
    """Return what the modules ``name`` stands for need, directly and further on."""
    roots = _roots(resolver, name)
    modules = dict.fromkeys(roots)
    edges = []
    todo = list(roots)
    while todo:
        for edge in _edges(resolver, todo.pop(0)):
            edges.append(edge)
            if edge.needs not in modules:
                modules[edge.needs] = None
                todo.append(edge.needs)
    return _graph(resolver, roots, modules, edges)


def reverse_graph_of(resolver: Resolver, name: str) -> Graph:
    """Return who needs the modules ``name`` stands for, directly and further on."""
    roots = _roots(resolver, name)
    users: dict[str, list[Edge]] = {}
    for edge in whole_graph(resolver).edges:
        users.setdefault(edge.needs, []).append(edge)
    modules = dict.fromkeys(roots)
    edges = []
    todo = list(roots)
    while todo:
        for edge in users.get(todo.pop(0), ()):
            edges.append(edge)
            if edge.module not in modules:
                modules[edge.module] = None
                todo.append(edge.module)
    return _graph(resolver, roots, modules, edges)


def _graph(
    resolver: Resolver, roots: tuple[str, ...], modules: Iterable[str], edges: Iterable[Edge]
) -> Graph:
    return Graph(roots, tuple(modules), tuple(edges), tuple(resolver.indexes.problems))


def _roots(resolver: Resolver, name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(candidate.module for candidate in resolver.lookup(name)))
    if not found:
        raise NotFoundError(
            f"no module, alias or rule {name!r} in {resolver.directory}",
            hint="without a modules.dep there, run depmod",
        )
    return found


def _all_modules(resolver: Resolver) -> Iterable[str]:
    return {module_name(key) for key, _ in resolver.indexes.items("modules.dep")}


def _edges(resolver: Resolver, module: str) -> list[Edge]:
    hard = _nearest(resolver, module)
    pre, post = resolver.soft_dependencies(module)
    weak = resolver.weak_dependencies(module)
    return [
        *(Edge(module, name, "hard") for name in hard),
        *(Edge(module, candidate.module, "pre") for candidate in pre),
        *(Edge(module, candidate.module, "post") for candidate in post),
        *(Edge(module, candidate.module, "weak") for candidate in weak),
    ]


def _nearest(resolver: Resolver, module: str) -> list[str]:
    """The dependencies of ``module`` that are not dependencies of another of them."""
    needed = resolver.dependencies(resolver.of_module(module))
    further = {
        candidate.module
        for name in needed
        for candidate in resolver.dependencies(name)
        if candidate is not name
    }
    names = [candidate.module for candidate in needed]
    nearest = [name for name in names if name not in further and name != module]
    return nearest or names[-1:]  # in a circle each one is needed by another
