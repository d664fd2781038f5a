"""kallsyms: real kernels against their exports, made tables in every order, hostile ones."""

from __future__ import annotations

import random

import pytest

from lkm.errors import LkmError, NotFoundError
from lkm.vmlinux import kallsyms
from lkm.vmlinux.image import open_cached
from lkm.vmlinux.symbols import Symbols
from tests.support.kernels import KernelFiles, fetched
from tests.support.vmlinux_writer import BASE, KallsymsTables

LAYOUTS = ("6.1", "6.2", "6.4")


def _symbols(count: int) -> list[tuple[int, str]]:
    percpu = [(n * 64, f"Apercpu_{n}") for n in range(3)]
    text = [(BASE + 16 * n, f"tdo_alloc_symbol_{n}_{'x' * (n % 200)}") for n in range(count - 3)]
    return percpu + text


_NOISE = random.Random(7).randbytes(4096)
# The kernel itself has a table of single digits that is no token table.
_DECOY = b"\0" + b"".join(b"%c\0" % n for n in range(ord("0"), ord("z")))
_BEFORE = _NOISE + _DECOY + _NOISE[: 8 - len(_DECOY) % 8]


def _surrounded(tables: bytes) -> bytes:
    return _BEFORE + tables + _NOISE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [300, 512, 513, 1024])
def test_each_order_of_the_tables(layout: str, count: int) -> None:
    wanted = _symbols(count)
    found = kallsyms.read_tables(_surrounded(KallsymsTables(wanted, layout).to_bytes()))
    assert [(s.address, s.type + s.name) for s in found] == wanted


@pytest.mark.parametrize("layout", LAYOUTS)
def test_addresses_relative_without_per_cpu_ones(layout: str) -> None:
    wanted = _symbols(600)[3:]
    tables = KallsymsTables(wanted, layout, absolute_percpu=False)
    found = kallsyms.read_tables(_surrounded(tables.to_bytes()))
    assert [(s.address, s.type + s.name) for s in found] == wanted


@pytest.mark.parametrize(("count", "order"), [(300, "<"), (513, "<"), (516, "<"), (600, ">")])
def test_addresses_relative_to_their_own_places(count: int, order: str) -> None:
    wanted = _symbols(count)[3:]
    wanted[7:9] = [(wanted[7][0], name) for _, name in wanted[7:9]]  # two names of one place
    address = BASE + 0x1400000
    tables = KallsymsTables(wanted, "7.3", order=order, address=address + len(_BEFORE))
    data = _surrounded(tables.to_bytes())
    found = kallsyms.read_tables(data, byte_order=order, address=address)
    assert [(s.address, s.type + s.name) for s in found] == wanted


def test_big_endian() -> None:
    wanted = _symbols(600)
    tables = KallsymsTables(wanted, "6.4", order=">")
    found = kallsyms.read_tables(_surrounded(tables.to_bytes()), byte_order=">")
    assert [(s.address, s.type + s.name) for s in found] == wanted


@pytest.mark.parametrize("kernel", fetched(), ids=lambda kernel: kernel.release)
def test_every_export_is_a_symbol_at_its_address(kernel: KernelFiles) -> None:
    image = open_cached(kernel.vmlinuz)
    symbols = image.kallsyms
    assert len(symbols) > 50_000
    places = set(zip(symbols.names, symbols.addresses, strict=True))
    assert {(export.name, export.address) for export in image.exports} <= places
    assert symbols.at(symbols["do_init_module"] + 4) is not None
    assert list(symbols.addresses) == sorted(symbols.addresses)


def test_number_of_symbols_is_the_kernels_own(kernel: KernelFiles) -> None:
    if kernel.release == "6.1.0-56-amd64":
        assert len(open_cached(kernel.vmlinuz).kallsyms) == 94_266


def test_lookup() -> None:
    symbols = kallsyms.read_tables(KallsymsTables(_symbols(300)).to_bytes().join([bytes(16)] * 2))
    assert symbols["percpu_1"] == 64
    assert symbols.get("nothing") is None
    assert "percpu_2" in symbols
    with pytest.raises(NotFoundError, match="no symbol 'nothing'"):
        symbols["nothing"]
    at = symbols.at(BASE + 17)
    assert at is not None
    assert (at[0].address, at[1]) == (BASE + 16, 1)
    assert symbols.size(BASE) == 16
    assert symbols.at(-1) is None
    again = Symbols.from_bytes(symbols.to_bytes())
    assert list(again) == list(symbols)


@pytest.mark.parametrize("layout", [*LAYOUTS, "7.3"])
def test_damaged_tables(layout: str) -> None:
    symbols = _symbols(703)[3:]
    whole = _surrounded(KallsymsTables(symbols, layout, address=BASE + len(_BEFORE)).to_bytes())
    rng = random.Random(layout)
    for _ in range(60):
        data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(1, 6)):
            start = rng.randrange(len(data)) if data else 0
            data[start : start + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
        try:
            found = kallsyms.read_tables(bytes(data), address=BASE)
        except LkmError:
            continue
        assert len(found) == 700


def test_no_table() -> None:
    with pytest.raises(NotFoundError) as caught:
        kallsyms.read_tables(random.Random(1).randbytes(1 << 20))
    assert "CONFIG_KALLSYMS" in caught.value.hint


def test_many_token_tables_and_nothing_else() -> None:
    tables = KallsymsTables(_symbols(300), "6.4").to_bytes()
    start = tables.index(b"\0alloc\0")
    with pytest.raises(NotFoundError):
        kallsyms.read_tables(bytes(4 << 20) + tables[start:].ljust(4096, b"\0") * 500)
