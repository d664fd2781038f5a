"""Which of the kernels known here export a symbol, or have a module."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping

from lkm.doctor.finding import Evidence, Finding
from lkm.doctor.offers import Offer
from lkm.doctor.target import Target, nearest
from lkm.doctor.target_image import read_image
from lkm.doctor.target_tree import tree_of
from lkm.errors import LkmError
from lkm.kernels.known import KnownKernel, known_kernels


class History:
    """The other kernels here, asked about a symbol that ``target`` has not."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @functools.cached_property
    def _kernels(self) -> list[KnownKernel]:
        """The readable kernels, oldest first, each release once."""
        found = {kernel.release: kernel for kernel in known_kernels()}
        return [k for k in found.values() if k.vmlinuz and os.access(k.vmlinuz, os.R_OK)]

    @functools.cache  # noqa: B019 - lives for one question
    def _offers(self, release: str) -> Mapping[str, Offer]:
        known = next(kernel for kernel in self._kernels if kernel.release == release)
        try:
            assert known.vmlinuz is not None
            found: dict[str, Offer] = {}
            if known.modules is not None:
                offers = tree_of(str(known.modules)).offers
                found.update((symbol, owners[0]) for symbol, owners in offers.items())
            found.update(read_image(known.vmlinuz).exports)
        except (LkmError, OSError):
            return {}
        return found

    def enriched(self, finding: Finding) -> Finding:
        """Return an ``unknown-symbol`` finding with who exports it elsewhere, and names like it."""
        if finding.name != "unknown-symbol":
            return finding
        symbol = finding.subject
        has = {k.release: self._offers(k.release).get(symbol) for k in self._kernels}
        evidence = [Evidence("exported in", _place(r, o)) for r, o in has.items() if o is not None]
        evidence += self._gone(has)
        close = nearest(symbol, self._target.image.exports)
        if close:
            evidence.append(Evidence("names like it here", ", ".join(close)))
        return finding.with_evidence(*evidence)

    def _gone(self, has: Mapping[str, Offer | None]) -> list[Evidence]:
        """Say between which two kernels the symbol went away, where both are known."""
        releases = list(has)
        for before, after in itertools.pairwise(releases):
            if has[before] is not None and has[after] is None:
                return [Evidence("gone since", f"{after} (the kernel before it here: {before})")]
        return []


def _place(release: str, offer: Offer) -> str:
    owner = f" by {offer.owner}" if offer.owner else ""
    return f"{release}{owner}{', GPL only' if offer.gpl else ''}"


def kernels_with_module(module: str, other_than: str) -> tuple[str, ...]:
    """Return the releases of known kernels that have a module of that name."""
    others = (k for k in known_kernels() if k.modules is not None and k.release != other_than)
    found = [k.release for k in others if module in tree_of(str(k.modules)).modules]
    return tuple(dict.fromkeys(found))
