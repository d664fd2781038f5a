"""The dependency graph: who needs whom, in which order modules are loaded, and its cycles.

Source: kmod's ``tools/depmod.c: depmod_calculate_dependencies, depmod_report_cycles``. Its order
follows that of the symbol table only where one module is the last user of several others, which
is rare; ``exact`` is asked only there, so that most symbol tables need not be decoded.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Dependencies = list[Sequence[int]]
    """For each module the modules it needs, by their places in depmod's order."""

_CYCLE_STEPS = 10_000


class CycleError(Exception):
    """The modules cannot be ordered; ``cycles`` are paths that end where they begin."""

    def __init__(self, cycles: list[tuple[int, ...]]) -> None:
        super().__init__("modules depend on each other in a circle")
        self.cycles = cycles


def load_order(needs: Dependencies, exact: Callable[[int], Sequence[int]]) -> list[int]:
    """Return all modules such that each comes before those it needs.

    ``exact(module)`` returns what the module needs in its symbol table's order. Raises
    ``CycleError``.
    """
    users = [0] * len(needs)
    for own in needs:
        for needed in own:
            users[needed] += 1
    free = [module for module, count in enumerate(users) if not count]
    ordered = []
    while free:
        module = free.pop()
        ordered.append(module)
        released = []
        for needed in needs[module]:
            users[needed] -= 1
            if not users[needed]:
                released.append(needed)
        if len(released) > 1:
            now_free = set(released)
            released = [needed for needed in exact(module) if needed in now_free]
        free += released
    if len(ordered) < len(needs):
        raise CycleError(_cycles([m for m, count in enumerate(users) if count], exact))
    return ordered


def closure(needs: Dependencies, ordered: Sequence[int]) -> Dependencies:
    """Return for each module all it needs, directly or not, in loading order's reverse."""
    place = [0] * len(ordered)
    for index, module in enumerate(ordered):
        place[module] = index
    every: Dependencies = [()] * len(needs)
    for module in reversed(ordered):
        needed = needs[module]
        if not needed:
            continue
        if len(needed) == 1 and not every[needed[0]]:
            every[module] = needed
            continue
        collected = set(needed)
        for other in needed:
            collected.update(every[other])
        every[module] = sorted(collected, key=place.__getitem__)
    return every


def _cycles(roots: list[int], exact: Callable[[int], Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the cycles among modules that are still used, as kmod finds them."""
    found: list[tuple[int, ...]] = []
    visited: set[int] = set()
    remaining = list(roots)
    while remaining:
        root = remaining.pop(0)
        stack: list[tuple[int, ...]] = [(root,)]
        for _ in range(_CYCLE_STEPS):
            if not stack:
                break
            path = stack.pop()
            module = path[-1]
            if module in visited and module == root:
                found.append(path)
                for member in path:
                    remaining = _without(remaining, member)
                continue
            visited.add(module)
            needed = exact(module)
            if not needed:
                remaining = _without(remaining, module)
            # Into a cycle that does not lead back to the root, kmod would run for ever.
            stack += [(*path, m) for m in needed if m == root or m not in path]
    return found


def _without(modules: list[int], module: int) -> list[int]:
    """Return ``modules`` without one; kmod's list is a ring that then begins after it."""
    if module not in modules:
        return modules
    place = modules.index(module)
    return modules[place + 1 :] + modules[:place]
