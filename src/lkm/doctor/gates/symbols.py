"""Can every symbol be bound? (``kernel/module/main.c: simplify_symbols, resolve_symbol``)

The kernel goes through the whole table and reports each symbol it cannot bind; the last one's
error is the load's. So every finding here counts, and the last decides.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from errno import ENOEXEC

from lkm.doctor.case import Case
from lkm.doctor.causes import symbols
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.offers import Offer
from lkm.elf.file import SHN_ABS, SHN_COMMON, SHN_UNDEF, Binding, ElfFile, Symbol
from lkm.elf.machine import I386, X86_64
from lkm.module.names import module_name

_SHN_LIVEPATCH = 0xFF20
_RESERVED = frozenset({SHN_ABS, _SHN_LIVEPATCH})


def check(case: Case) -> Iterator[Finding]:
    """Go through the symbol table as the kernel does."""
    binder = _Binder(case)
    for symbol in _troublesome(case):
        if symbol.section == SHN_UNDEF:
            yield from binder.bind(symbol.name, weak=symbol.binding == Binding.WEAK)
        elif symbol.section == SHN_COMMON:
            if not symbol.name.startswith("__gnu_lto"):
                yield _common(case)
        else:
            yield _bad_section(case, symbol)


def _troublesome(case: Case) -> Iterable[Symbol]:
    """Return the symbols that may fail: the undefined ones, and those of no real section."""
    elf = case.image.elf
    count = elf.header.section_count
    checked = "symbol-section" in case.target.image.checks
    if not checked or all(index < count or index in _RESERVED for index in _section_indexes(elf)):
        return elf.undefined_symbols
    strange = (s for s in elf.symbols[1:] if s.section >= count and s.section not in _RESERVED)
    bad = {id(symbol) for symbol in strange}
    return [s for s in elf.symbols[1:] if s.section == SHN_UNDEF or id(s) in bad]


def _section_indexes(elf: ElfFile) -> set[int]:
    """Return every section index in the symbol table, read without its names."""
    table = elf.symbol_table
    if table is None:
        return set()
    data = elf.data(table)
    halves = array("H", data[: len(data) // 24 * 24])
    return set(halves[3::12])  # st_shndx of struct elf64_sym


class _Binder:
    """Binds one module's symbols in order; remembers whether it used a GPL-only one."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.namespaces = frozenset(case.image.modinfo.all("import_ns"))
        self.proprietary = case.proprietary
        self.uses_gpl_only = False

    def bind(self, name: str, *, weak: bool) -> Iterator[Finding]:
        """Yield what stands against binding ``name``; nothing when it can be bound."""
        case = self.case
        offer = case.target.find_loaded(name)
        if offer is None or (offer.gpl and self.proprietary):
            if not weak and not self._ignored(name):
                yield self._missing(name, offer)
            return
        self.uses_gpl_only |= offer.gpl
        finding = self._inherits(name, offer) or self._version(name, offer)
        if finding is None:
            yield from self._namespace(name, offer)
            return
        yield finding

    def _ignored(self, name: str) -> bool:
        x86 = self.case.target.image.machine in (I386, X86_64)
        return x86 and name == "_GLOBAL_OFFSET_TABLE_"

    def _missing(self, name: str, offer: Offer | None) -> Finding:
        case = self.case
        if offer is not None:
            licence = case.image.licence or "unspecified"
            return symbols.gpl_only(case.module, name, licence, offer.owner)
        loadable = case.target.find_loadable(name)
        if loadable is not None and case.target.tree is not None:
            path = case.target.tree.modules.get(loadable.owner, "")
            return symbols.not_loaded(case.module, name, loadable.owner, path)
        return symbols.unknown(case.module, name, release=case.target.release)

    def _inherits(self, name: str, offer: Offer) -> Finding | None:
        """``inherit_taint``: a proprietary provider passes its taint on, or is refused."""
        owner = (self.case.target.loaded or {}).get(offer.owner)
        if owner is None or not owner.proprietary:
            return None
        if self.uses_gpl_only:
            return symbols.gpl_and_proprietary(self.case.module, name, offer.owner)
        self.proprietary = True
        return None

    def _version(self, name: str, offer: Offer) -> Finding | None:
        """``check_version``: what became of the symbol's checksum."""
        case = self.case
        if offer.crc is None or not case.has_versions:
            return None
        wanted = case.versions.get(name)
        if wanted == offer.crc:
            return None
        if wanted is None:
            fatal = "missing-checksum" in case.target.image.checks
            return symbols.no_crc(case.module, name, fatal=fatal)
        return symbols.wrong_crc(
            case.module,
            name,
            wanted,
            offer.crc,
            provider=offer.owner,
            release=case.target.release,
            path=case.path,
        )

    def _namespace(self, name: str, offer: Offer) -> Iterator[Finding]:
        if not offer.namespace or offer.namespace in self.namespaces:
            return
        if _is_for(offer.namespace, self.case.module):
            return
        allowed = self.case.target.image.has("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS")
        yield symbols.namespace(self.case.module, name, offer.namespace, fatal=not allowed)


def _is_for(namespace: str, module: str) -> bool:
    """``verify_module_namespace``: ``module:kvm-amd,snd_*`` names the modules that may use it."""
    kind, _, names = namespace.partition(":")
    if kind != "module":
        return False
    name = module_name(module)
    for wanted in names.split(","):
        pattern = module_name(wanted.removesuffix("*"))
        if name == pattern or (wanted.endswith("*") and name.startswith(pattern)):
            return True
    return False


def _common(case: Case) -> Finding:
    return Finding(
        "common-symbol",
        Severity.FATAL,
        "the module has a common symbol: it was compiled without -fno-common",
        ENOEXEC,
        f"{case.module}: please compile with -fno-common",
        module=case.module,
    )


def _bad_section(case: Case, symbol: Symbol) -> Finding:
    last = case.image.elf.header.section_count - 1
    return Finding(
        "damaged-file",
        Severity.FATAL,
        f"the symbol {symbol.name} is in a section that does not exist",
        ENOEXEC,
        f"{case.module}: Symbol {symbol.name} has an invalid section index {symbol.section} "
        f"(max {last})",
        module=case.module,
        subject=symbol.name,
    )
