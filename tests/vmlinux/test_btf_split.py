"""Whether a module's types continue a kernel's: the distribution's own modules, hostile ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.module.image import ModuleImage
from lkm.vmlinux.btf import Btf, BtfKind
from lkm.vmlinux.btf_split import Base, base_of, misfit
from lkm.vmlinux.image import open_cached
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.vmlinux_writer import BtfWriter


def _sections(kernel: KernelFiles, step: int = 1) -> Iterator[tuple[str, bytes]]:
    for path in sorted(kernel.modules.rglob("*.ko"))[::step]:
        yield path.name, ModuleImage.open(path).elf.named_data(".BTF")


def _base(path: Path) -> Base:
    return base_of(open_cached(path).btf)


def test_modules_continue_their_own_kernel_and_no_other(kernel: KernelFiles) -> None:
    own, other = _base(kernel.vmlinuz), _base(kernel_files("6.1.0-47").vmlinuz)
    sections = list(_sections(kernel, step=8))
    assert len(sections) > 400
    assert [name for name, data in sections if not data or misfit(data, own)] == []
    assert [name for name, data in sections if not misfit(data, other)] == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("series", "flavour"), [("6.1.", "amd64"), ("6.1.", "rt-amd64"), ("6.12.", "amd64")]
)
def test_all_modules_continue_their_own_kernel(series: str, flavour: str) -> None:
    kernel = kernel_files(series, flavour)
    base = _base(kernel.vmlinuz)
    assert [name for name, data in _sections(kernel) if misfit(data, base)] == []


def _kernel(order: str = "<") -> Btf:
    writer = BtfWriter(order=order)
    integer = writer.integer("long unsigned int")  # 1
    writer.composite("list_head", 16, [("next", integer, 0), ("prev", integer, 64)])  # 2
    return Btf(writer.to_bytes())


def _module(kernel: Btf, more: int = 0) -> BtfWriter:
    """A module of a kernel with ``more`` types and that many bytes of names on top."""
    names = len(kernel.strings) + more
    return BtfWriter(order=kernel._order, first_id=kernel.count + more, strings_before=names)


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_fits(order: str) -> None:
    kernel = _kernel(order)
    module = _module(kernel)
    mine = module.composite("mine", 16, [("list", 2, 0)])
    alias = module.add(BtfKind.TYPEDEF, "mine_t", mine)
    module.add(BtfKind.CONST, "", alias)
    module.integer("unsigned __int128", 16)
    assert misfit(module.to_bytes(), base_of(kernel)) is None


@pytest.mark.parametrize(("target", "what"), [(9, "types up to 4"), (3, "leads nowhere")])
def test_a_modifier_that_leads_nowhere(target: int, what: str) -> None:
    kernel = _kernel()
    module = _module(kernel)
    module.add(BtfKind.CONST, "", target)
    found = misfit(module.to_bytes(), base_of(kernel))
    assert found is not None
    assert what in found.what


def test_names_of_another_kernel() -> None:
    kernel = _kernel()
    base = base_of(kernel)
    for more in (-1, 4, 300):
        module = _module(kernel, more)
        module.composite("mine", 16, [("list", 2, 0)])
        assert misfit(module.to_bytes(), base) is not None, more
    # Behind the last blank of a text that is no identifier one may begin.
    at = kernel.strings.index(b"unsigned int")
    assert (base.names[at], base.names[at + len("unsigned ")]) == (0, 1)


def test_hostile() -> None:
    kernel = _kernel()
    module = _module(kernel)
    mine = module.composite("mine", 16, [("list", 2, 0)])
    module.add(BtfKind.CONST, "", module.add(BtfKind.TYPEDEF, "mine_t", mine))
    whole = module.to_bytes()
    base, rng = base_of(kernel), random.Random(5)
    assert misfit(b"", base)
    assert misfit(whole[:-1], base)
    found = 0
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found += misfit(bytes(data), base) is not None
    assert 1000 < found < 2000
