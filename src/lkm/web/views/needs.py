"""What a module needs, in which order it is loaded, and the map of a kernel's whole tree."""

from __future__ import annotations

import os
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernels.choose import choose_bootable
from lkm.kernels.known import KnownKernel
from lkm.module.compression import decompress
from lkm.module.image import ModuleImage
from lkm.module.names import module_name
from lkm.operations import graph
from lkm.operations.resolve import open_resolver
from lkm.tree.plan import StepKind
from lkm.tree.resolver import Resolver
from lkm.vmlinux.image import open_cached
from lkm.web.contract.requests import EdgeQuestion, KernelQuestion, NeedsQuestion
from lkm.web.contract.tree_answers import (
    EdgeSymbols,
    NeedEdge,
    NeededModule,
    NeedsGraph,
    SymbolCounts,
    TreeMap,
    TreeModule,
)
from lkm.web.views.running import of_release
from lkm.web.views.state import Surroundings

_MOST_SHOWN = 400


def needs(question: NeedsQuestion, _surroundings: Surroundings) -> NeedsGraph:
    """Return the closure of what a name stands for."""
    kernel = choose_bootable(question.kernel)
    resolver = open_resolver(None, kernel.release)
    found = graph.graph_of(resolver, question.module)
    plan = resolver.resolve(question.module, ignore_commands=True)
    order = [step.module for step in plan.steps if step.kind is StepKind.INSMOD]
    order = list(dict.fromkeys(order))
    modules = tuple(_module(resolver, name, order) for name in found.modules[:_MOST_SHOWN])
    return NeedsGraph(
        release=kernel.release,
        roots=found.roots,
        modules=modules,
        edges=tuple(NeedEdge(e.module, e.needs, e.kind) for e in found.edges),
        order=tuple(order),
        problems=found.problems,
        symbols=_counts(kernel),
        command=f"lkm graph {question.module}{of_release(kernel.release)}",
    )


def edge(question: EdgeQuestion, _surroundings: Surroundings) -> EdgeSymbols:
    """Return the symbols one module uses of another."""
    resolver = open_resolver(None, choose_bootable(question.kernel).release)
    user, provider = (_open(resolver, name) for name in (question.module, question.needs))
    offered = {export.name for export in provider.exports}
    wanted = sorted({symbol.name for symbol in user.imports} & offered)
    return EdgeSymbols(question.module, question.needs, tuple(wanted))


def tree(question: KernelQuestion, _surroundings: Surroundings) -> TreeMap:
    """Return all modules of a kernel, with the nearest of what each needs."""
    kernel = choose_bootable(question.kernel)
    resolver = open_resolver(None, kernel.release)
    whole = graph.whole_graph(resolver)
    places = {name: number for number, name in enumerate(whole.modules)}
    needed: dict[str, list[int]] = {}
    for each in whole.edges:
        if each.kind == "hard":
            needed.setdefault(each.module, []).append(places[each.needs])
    base = Path(resolver.directory)
    files = {module_name(key): key for key, _ in resolver.indexes.items("modules.dep")}
    lines = {
        module_name(line.partition(":")[0]): line.partition(":")[0]
        for line in (base / "modules.dep").read_text(encoding="utf-8").splitlines()
    }
    folders: dict[str, int] = {}
    modules = []
    for name in whole.modules:
        path = lines.get(name, files.get(name, ""))
        folder = os.path.dirname(path).removeprefix("kernel/")
        index = folders.setdefault(folder, len(folders))
        size = (base / path).stat().st_size if path and (base / path).is_file() else 0
        modules.append(TreeModule(name, index, size, tuple(needed.get(name, ()))))
    return TreeMap(kernel.release, tuple(folders), tuple(modules))


def _module(resolver: Resolver, name: str, order: list[str]) -> NeededModule:
    place = order.index(name) if name in order else -1
    path = _path(resolver, name)
    if not path:
        return NeededModule(name, "", 0, 0, place)
    image = ModuleImage.open(path)
    inside = os.path.relpath(path, resolver.directory)
    return NeededModule(name, inside, os.stat(path).st_size, image.memory.core, place)


def _open(resolver: Resolver, name: str) -> ModuleImage:
    path = _path(resolver, name)
    if not path:
        raise NotFoundError(f"no file of a module {name} in {resolver.directory}")
    return ModuleImage.from_bytes(decompress(Path(path).read_bytes()), path)


def _path(resolver: Resolver, name: str) -> str:
    """Return a module's file; empty for what is built in, or not there."""
    for target in resolver.resolve(name, ignore_commands=True).targets:
        for step in target.steps:
            if step.module == name and step.kind is StepKind.INSMOD:
                return step.path
    return ""


def _counts(kernel: KnownKernel) -> SymbolCounts:
    image = open_cached(kernel.vmlinuz or "")
    text = {symbol.name for symbol in image.kallsyms if symbol.type == "T"}
    exports = {export.name for export in image.exports}
    return SymbolCounts(len(text), len(text - exports), len(exports), len(exports - text))
