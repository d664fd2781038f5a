"""Show all there is to see of a module: licence, parameters, what it needs, offers and takes."""

from __future__ import annotations

from collections.abc import Iterator

import click

from lkm import taint
from lkm.cli.tool_command import complete_modules
from lkm.cli.view import Block, Cell, Pairs, Styled, Table, show
from lkm.elf import machine
from lkm.elf.file import SectionFlag
from lkm.module.parameters import Parameter
from lkm.operations.inspect import Inspection, inspect
from lkm.operations.providers import Provider, ProviderKind

_FEW = 10
_FLAG_LETTERS = {
    SectionFlag.WRITE: "W",
    SectionFlag.ALLOC: "A",
    SectionFlag.EXECINSTR: "X",
    SectionFlag.MERGE: "M",
    SectionFlag.STRINGS: "S",
}


@click.command("inspect")
@click.argument("module", metavar="FILE|NAME", shell_complete=complete_modules)
@click.option("--root", metavar="DIR", default="/", help="Look names up below DIR.")
@click.option("--release", metavar="RELEASE", help="Look names up in this kernel's modules.")
@click.option("--symbols", is_flag=True, help="Show every symbol it needs and offers.")
@click.option("--sections", is_flag=True, help="Show every section.")
@click.option("--relocations", is_flag=True, help="Count its relocations by type.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    *,
    module: str,
    root: str,
    release: str | None,
    symbols: bool,
    sections: bool,
    relocations: bool,
    as_json: bool,
) -> None:
    """Show all there is to see of a module without loading it.

    A file may be packed (.gz, .xz, .zst) and of any architecture. The symbols it needs are
    grouped by the modules and the kernel that provide them, if those are here.
    """
    found = inspect(module, root=root, release=release)
    if as_json:
        from lkm.cli.output import print_json

        print_json("inspect", module=found)
        return
    blocks = [*_summary(found)]
    blocks += _symbols(found) if symbols else _symbol_summary(found)
    blocks.append(_section_table(found) if sections else _memory_map(found))
    if relocations:
        blocks.append(_relocations(found))
    title = " — ".join([found.name, *found.all("description")[:1]])
    show(title, found.path, blocks)


def _summary(found: Inspection) -> Iterator[Block]:
    yield Pairs("Identity", tuple(_identity(found)))
    yield Pairs("Licence and trust", tuple(_trust(found)))
    columns = ("name", "type", "default", "mode", "description")
    title = "Parameters (mode of the file in /sys/module)"
    yield Table(title, columns, tuple(map(_parameter, found.parameters)))
    yield Pairs("Declares", tuple(_declarations(found)))


def _identity(found: Inspection) -> Iterator[tuple[str, Cell]]:
    yield "version", ", ".join(found.all("version"))
    yield "authors", "\n".join(found.all("author"))
    yield "built for", " ".join([found.release or "", *found.vermagic]).strip()
    order = "little-endian" if found.little_endian else "big-endian"
    yield "machine", f"{machine.label(found.machine)}, {found.bits}-bit, {order}"
    yield "build id", found.build_id or ""
    yield "source version", ", ".join(found.all("srcversion"))
    yield "init function", found.init or "none"
    yield "exit function", found.exit or Styled("none: it cannot be unloaded", "warn")
    debug = [name for name, has in (("DWARF", found.has_dwarf), ("BTF", found.has_btf)) if has]
    yield "debug data", " and ".join(debug) or "none"
    packed = f" ({found.compression}), {_bytes(found.size)} unpacked"
    yield "size", _bytes(found.file_size) + (packed if found.compression != "none" else "")


def _trust(found: Inspection) -> Iterator[tuple[str, Cell]]:
    licence = found.licence or "none told"
    if found.gpl_compatible:
        yield "licence", licence
    else:
        yield "licence", Styled(f"{licence}: not compatible with the GPL", "warn")
    flags = taint.from_letters(found.taints)
    if flags:
        yield "taints", Styled("\n".join(f"{f.letter}: {f.meaning}" for f in flags), "warn")
    else:
        yield "taints", Styled("none", "good")
    yield "retpoline", "yes" if found.retpoline else "no"
    if found.signer:
        who = found.signer
        yield "signed by", f"{who.name} (not verified: lkm verify)"
        yield "key", who.key_id.hex(":").upper()
        yield "digest", who.digest
        yield "signature", f"{who.id_type}, {_bytes(found.signature_size)}"
    elif found.signature_size:
        yield "signature", Styled(f"{_bytes(found.signature_size)} of an unknown kind", "warn")
    else:
        yield "signature", Styled("none (taint E where signatures are checked)", "warn")


def _parameter(parameter: Parameter) -> tuple[Cell, ...]:
    kind = parameter.type or f"own ({parameter.operations or 'unknown'})"
    if parameter.limit:
        kind += f", at most {parameter.limit - (kind == 'string')}"
    mode = parameter.permission
    access = "?" if mode is None else f"{mode:04o}" if mode else "no file"
    default = parameter.default if parameter.default is not None else ""
    return (
        Styled(parameter.name, "name"),
        kind,
        default,
        Styled(access, "good") if parameter.writable else access,
        parameter.description or "",
    )


def _declarations(found: Inspection) -> Iterator[tuple[str, Cell]]:
    yield "depends on", ", ".join(found.depends)
    yield "soft dependencies", "\n".join(found.all("softdep"))
    yield "firmware", _first(found.all("firmware"), ", ")
    aliases = found.all("alias")
    yield "aliases", _first(aliases, "\n") if aliases else ""
    yield "imports of", ", ".join(found.all("import_ns"))


def _first(values: tuple[str, ...], separator: str) -> str:
    if len(values) <= _FEW:
        return separator.join(values)
    return separator.join([*values[:_FEW], f"… and {len(values) - _FEW} more"])


def _symbol_summary(found: Inspection) -> Iterator[Block]:
    rows = []
    for provider in found.needs:
        names = tuple(symbol.name for symbol in provider.symbols)
        weak = ", may be missing" if all(symbol.weak for symbol in provider.symbols) else ""
        label = f"{_who(provider)} ({len(names)}{weak})"
        rows.append((label, _worded(provider, _first(names, ", "))))
    yield Pairs("Needs symbols of", tuple(rows))
    plain = tuple(export.name for export in found.offers if not export.gpl)
    for_gpl = tuple(export.name for export in found.offers if export.gpl)
    offers = (
        (f"to all ({len(plain)})", _first(plain, ", ")),
        (f"to the GPL ({len(for_gpl)})", _first(for_gpl, ", ")),
    )
    yield Pairs("Offers symbols", offers)


def _who(provider: Provider) -> str:
    if provider.kind is ProviderKind.KERNEL:
        return f"the kernel {provider.name}"
    if provider.kind is ProviderKind.MODULE:
        return provider.name
    return "nobody" if provider.kind is ProviderKind.NOBODY else "not looked up"


def _worded(provider: Provider, text: str) -> Cell:
    missing = provider.kind is ProviderKind.NOBODY
    weak = all(symbol.weak for symbol in provider.symbols)
    return Styled(text, "dim" if weak else "bad") if missing else text


def _symbols(found: Inspection) -> Iterator[Block]:
    needs = tuple(
        (_who(provider), Styled(symbol.name, "name"), _crc(symbol.crc), _weak(symbol.weak))
        for provider in found.needs
        for symbol in provider.symbols
    )
    yield Table("Needs symbols", ("of", "symbol", "CRC", ""), needs)
    offers = tuple(
        (Styled(e.name, "name"), "GPL only" if e.gpl else "all", e.namespace, _crc(e.crc))
        for e in found.offers
    )
    yield Table("Offers symbols", ("symbol", "to", "namespace", "CRC"), offers)


def _crc(crc: int | None) -> str:
    return "" if crc is None else f"0x{crc:08x}"


def _weak(weak: bool) -> str:
    return "weak" if weak else ""


def _memory_map(found: Inspection) -> Block:
    memory = found.memory
    rows: list[tuple[str, Cell]] = [
        ("stays loaded", f"{_bytes(memory.core)} ({memory.core})"),
        ("freed after init", _bytes(memory.init)),
        ("each processor", _bytes(memory.percpu) if memory.percpu else ""),
        ("struct module", f"{found.this_module_size} bytes" if found.this_module_size else ""),
    ]
    for label, choose in (
        ("code", lambda s: s.flags & SectionFlag.EXECINSTR),
        ("constants", lambda s: not s.flags & (SectionFlag.EXECINSTR | SectionFlag.WRITE)),
        ("data", lambda s: s.flags & SectionFlag.WRITE),
    ):
        sections = [s for s in found.sections if s.stays and choose(s)]
        sections.sort(key=lambda section: -section.size)
        listed = tuple(f"{s.name} {_bytes(s.size)}" for s in sections if s.size)
        rows.append((label, _first(listed[:6], ", ")))
    return Pairs("Memory", tuple(rows))


def _section_table(found: Inspection) -> Block:
    rows = []
    for section in found.sections:
        flags = "".join(c for bit, c in _FLAG_LETTERS.items() if section.flags & bit)
        life = "stays" if section.stays else "init" if section.loaded else "not loaded"
        style = {"stays": "good", "init": "warn"}.get(life, "dim")
        row = (Styled(section.name, "name"), str(section.size), flags, Styled(life, style))
        rows.append(row)
    total = f"Sections ({_bytes(found.memory.core)} stay, {_bytes(found.memory.init)} are freed)"
    return Table(total, ("section", ">size", "flags", "memory"), tuple(rows))


def _relocations(found: Inspection) -> Block:
    rows = tuple((Styled(name, "name"), str(count)) for name, count in found.relocations)
    return Table("Relocations", ("type", ">entries"), rows)


def _bytes(size: int) -> str:
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:.1f} KiB" if size < 1024 * 1024 else f"{size / 1048576:.1f} MiB"
