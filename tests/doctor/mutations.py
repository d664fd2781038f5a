"""Modules changed on purpose in twelve ways, each a load whose outcome can be foretold.

Everything is drawn from a seeded generator: the same number gives the same case.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from lkm.elf.file import SectionType
from lkm.module import signature
from lkm.module.compression import decompress
from lkm.module.image import ModuleImage
from lkm.signing import keys
from lkm.signing.sign import KeySigner, signed

PROFILES = {
    "plain": "",
    "enforce": "module.sig_enforce=1",
    "lockdown": "lockdown=integrity",
    "blacklist": "module_blacklist=params,hello,crc7,libarc4",
}


@dataclass(frozen=True, slots=True)
class Module:
    """A module as it is, and the files of what it needs, in loading order."""

    path: Path
    needs: tuple[Path, ...] = ()

    @property
    def data(self) -> bytes:
        return decompress(self.path.read_bytes())


@dataclass(frozen=True, slots=True)
class Case:
    """One load: into a kernel of ``profile``, after ``before`` were loaded."""

    kind: str
    what: str
    path: Path
    data: bytes
    before: tuple[Path, ...] = ()
    parameters: str = ""
    profile: str = "plain"

    def __str__(self) -> str:
        return f"{self.kind}: {self.path.name}: {self.what} ({self.profile}) {self.parameters!r}"


Mutation = Callable[[Module, random.Random], Case | None]


def _case(module: Module, what: str, data: bytes, **more: object) -> Case:
    base = Case("", what, module.path, data, module.needs)
    return replace(base, **more)  # type: ignore[arg-type]


def _unsigned(module: Module) -> bytearray:
    return bytearray(signature.strip(module.data))


def _section(data: bytes | bytearray, name: str) -> range | None:
    section = ModuleImage.from_bytes(bytes(data)).elf.section(name)
    return range(section.offset, section.offset + section.size) if section else None


def _field(data: bytearray, key: str) -> range | None:
    """Where the value of a modinfo field lies, without its NUL."""
    info = _section(data, ".modinfo")
    assert info is not None
    at = data.find(f"\0{key}=".encode(), info.start - 1, info.stop)
    if at < 0:
        return None
    start = at + len(key) + 2
    return range(start, data.index(b"\0", start))


def _put(data: bytearray, place: range, text: str) -> bool:
    """Put ``text`` in a field, the rest filled with NULs, where it has room."""
    encoded = text.encode()
    if len(encoded) > len(place):
        return False
    data[place.start : place.stop] = encoded.ljust(len(place), b"\0")
    return True


def vermagic(module: Module, rng: random.Random) -> Case | None:
    data = _unsigned(module)
    place = _field(data, "vermagic")
    assert place is not None
    text = bytes(data[place.start : place.stop]).decode()
    changes = {
        "another preemption model": text.replace("preempt ", "preempx "),
        "no mod_unload": text.replace("mod_unload ", ""),
        "no modversions": text.replace("modversions ", ""),
        "no SMP": text.replace("SMP ", ""),
        "another release": "5" + text[1:],
        "a word more": text.replace("6.1.0-56-amd64 SMP", "6.1 SMP RANDSTR"),
        "no space at the end": text.rstrip(),
    }
    what = rng.choice(sorted(changes))
    _put(data, place, changes[what])
    if rng.random() < 0.15:
        what = "none at all"
        data = _unsigned(module)
        data[place.start - 9 : place.start - 1] = b"vermagix"
    return _case(module, what, bytes(data))


def crc(module: Module, rng: random.Random) -> Case | None:
    data = _unsigned(module)
    table = _section(data, "__versions")
    if table is None:
        return None
    record = rng.randrange(len(table) // 64)
    if rng.random() < 0.3:
        names = [bytes(data[at + 8 : at + 64]) for at in range(table.start, table.stop, 64)]
        record = next(i for i, name in enumerate(names) if name.startswith(b"module_layout\0"))
    at = table.start + 64 * record
    name = bytes(data[at + 8 : at + 64]).split(b"\0")[0].decode()
    if rng.random() < 0.2:
        data[at + 8] ^= 1  # then there is no checksum for the symbol, which is let through
        return _case(module, f"no checksum for {name}", bytes(data))
    data[at] ^= 0x55
    return _case(module, f"another checksum for {name}", bytes(data))


def removed_export(module: Module, rng: random.Random) -> Case | None:
    """Needs a symbol by a name that nobody has."""
    data = _unsigned(module)
    image = ModuleImage.from_bytes(bytes(data))
    names = [symbol.name for symbol in image.elf.undefined_symbols]
    table = image.elf.symbol_table
    if not names or table is None:
        return None
    strings = image.elf.section_at(table.link)
    chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 2, 3))))
    for name in chosen:
        at = data.find(b"\0" + name.encode() + b"\0", strings.offset, strings.offset + strings.size)
        if at < 0:
            return None
        data[at + 1] = ord("Q")
    return _case(module, f"needs {', '.join(chosen)} by another name", bytes(data))


def licence(module: Module, rng: random.Random) -> Case | None:
    data = _unsigned(module)
    place = _field(data, "license")
    if place is None:
        return None
    text = rng.choice(("MIT", "BSD", "X", "GPL", "gpl"))
    _put(data, place, text)
    return _case(module, f"licence {text}", bytes(data))


def namespace(module: Module, rng: random.Random) -> Case | None:
    data = _unsigned(module)
    place = _field(data, "import_ns")
    if place is None:
        return None
    if rng.random() < 0.5:
        data[place.start] ^= 1
        return _case(module, "imports another namespace", bytes(data))
    data[place.start - 2] ^= 1
    return _case(module, "imports no namespace", bytes(data))


def _own_key() -> KeySigner:
    pair = keys.generate("lkm tests")
    return KeySigner(pair.private_key, pair.certificate)


_SIGNER: list[KeySigner] = []


def signer() -> KeySigner:
    if not _SIGNER:
        _SIGNER.append(_own_key())
    return _SIGNER[0]


def signatures(module: Module, rng: random.Random) -> Case | None:
    plain = bytes(_unsigned(module))
    whole = bytearray(signed(plain, signer()))
    trailer = len(whole) - len(signature.MARKER) - 12
    what = rng.choice(
        ("none", "unknown key", "no marker", "type", "fields", "length", "garbage", "as it was")
    )
    profile = rng.choice(("plain", "plain", "enforce", "lockdown"))
    if what == "none":
        return _case(module, what, plain, profile=profile)
    if what == "as it was":
        return _case(module, what, module.data, profile=profile)
    if what == "no marker":
        whole[-2] ^= 1
    elif what == "type":
        whole[trailer + 2] = 1
    elif what == "fields":
        whole[trailer] = 1
    elif what == "length":
        struct.pack_into(">I", whole, trailer + 8, rng.choice((len(whole), 0xFFFFFFFF)))
    elif what == "garbage":
        found = signature.read(bytes(whole))
        assert found is not None
        start = found.content_length
        whole[start : start + 4] = b"\xff\xff\xff\xff"
    return _case(module, what, bytes(whole), profile=profile)


def tampering(module: Module, rng: random.Random) -> Case | None:
    """A byte that does not matter to loading, changed in a signed or an unsigned module."""
    data = bytearray(module.data if rng.random() < 0.7 else _unsigned(module))
    place = _field(data, "description") or _field(data, "license")
    if place is None or len(place) < 4:
        return None
    key = "description" if _field(data, "description") else "license"
    if key == "license":
        return None
    data[place.start] ^= 0x20
    if rng.random() < 0.5:
        data = bytearray(signed(bytes(data), signer()))
    profile = rng.choice(("plain", "plain", "enforce"))
    return _case(module, f"{key} changed", bytes(data), profile=profile)


def truncation(module: Module, rng: random.Random) -> Case | None:
    data = module.data if rng.random() < 0.5 else bytes(_unsigned(module))
    length = rng.choice((0, 1, 63, 64, 65, len(data) // 2, len(data) - 1, rng.randrange(len(data))))
    return _case(module, f"cut to {length} of {len(data)} bytes", data[:length])


def elf_header(module: Module, rng: random.Random) -> Case | None:
    data = _unsigned(module)
    what = rng.choice(
        ("machine", "type", "magic", "entry size", "table offset", "names index", "names index 0",
         "count", "null section", "no symbol table", "section offset", "symtab link", "packed",
         "no this_module")
    )  # fmt: skip
    (table,) = struct.unpack_from("<Q", data, 0x28)
    (count,) = struct.unpack_from("<H", data, 0x3C)
    if what == "machine":
        struct.pack_into("<H", data, 18, rng.choice((183, 3, 0, 243)))
    elif what == "type":
        struct.pack_into("<H", data, 16, rng.choice((0, 2, 3, 4)))
    elif what == "magic":
        data[rng.randrange(4)] ^= 1
    elif what == "entry size":
        struct.pack_into("<H", data, 0x3A, 40)
    elif what == "table offset":
        struct.pack_into("<Q", data, 0x28, rng.choice((len(data), len(data) - 64, 1 << 63)))
    elif what == "names index":
        struct.pack_into("<H", data, 0x3E, rng.choice((count, 0xFF00)))
    elif what == "names index 0":
        struct.pack_into("<H", data, 0x3E, 0)
    elif what == "count":
        struct.pack_into("<H", data, 0x3C, 0xFEFF)
    elif what == "null section":
        struct.pack_into("<I", data, table + 4, 1)
    else:
        return _section_change(module, data, what, table, rng)
    return _case(module, what, bytes(data))


def _section_change(
    module: Module, data: bytearray, what: str, table: int, rng: random.Random
) -> Case:
    sections = ModuleImage.from_bytes(bytes(data)).elf.sections
    symtab = next(s.index for s in sections if s.type == SectionType.SYMTAB)
    if what == "no symbol table":
        struct.pack_into("<I", data, table + 64 * symtab + 4, SectionType.PROGBITS)
    elif what == "symtab link":
        link = rng.choice((0, len(sections)))
        struct.pack_into("<I", data, table + 64 * symtab + 40, link)
    elif what == "section offset":
        index = rng.choice([s.index for s in sections if s.type == SectionType.PROGBITS and s.size])
        struct.pack_into("<Q", data, table + 64 * index + 24, len(data))
    elif what == "no this_module":
        at = data.find(b".gnu.linkonce.this_module\0")
        data[at + 1] = ord("x")
    else:
        import gzip  # only here

        return _case(module, "packed, as the kernel would get it", gzip.compress(bytes(data), 1))
    return _case(module, what, bytes(data))


_VALUES = (
    "an_int=5", "an_int=abc", "an_int=99999999999", "an_int=-2147483648", "an_int=0x7f", "an_int",
    "an_int=", "an_int=08", "an_int=+3", "an_int=1 an_int=x", "an_int=x an_int=1", "a_uint=-1",
    "a_uint=4294967295", "a_uint=4294967296", "a_byte=255", "a_byte=256", "a_short=-32769",
    "a_bool=7", "a_bool=y", "a_bool", "a_bool=on", "a_bool=off", "a_bool=", "a_bool=maybe",
    "a_bool=true", "a_bool=false", "an_invbool=2", "a_charp=abc", "a_charp", "a_charp=",
    'a_charp="a b"', "a_charp=" + "x" * 1024, "a_charp=" + "x" * 1025, "a_string=short",
    "a_string=" + "y" * 15, "a_string=" + "y" * 16, "an_array=1,2,3,4", "an_array=1,2,3,4,5",
    "an_array=1,x", "an_array", "an_array=", "bools=1,0,y", "bools=1,0,1,0", "bools=3",
    "nosuch=1", "nosuch", "-- an_int=x", "an-int=7", "an_int=7 -- rest", "params.an_int=3",
    "a_ullong=18446744073709551615", "a_ullong=18446744073709551616", "a_hexint=zz",
    "a_ulong=-1", "a_long=-9223372036854775808", "hidden=1", "inside=3", "outside=q",
    "a_short=0x8000", "a_ushort=65536", 'an_int="7"', '"an_int=7"', '"an_int=7 8"',
    "an_int=1 a_bool=7 a_byte=256", "a_byte=256 an_int=abc", "dyndbg=+p", "async_probe",
)  # fmt: skip


def parameters(module: Module, rng: random.Random) -> Case | None:
    """Values for params.ko, right ones and wrong ones; for another module, unknown ones."""
    if module.path.name == "params.ko":
        return _case(module, "values", module.data, parameters=rng.choice(_VALUES))
    text = rng.choice(("nosuch=1", "debug_me", "x=1 y=2", "-- z", ""))
    return _case(module, "values", module.data, parameters=text)


def load_order(module: Module, rng: random.Random) -> Case | None:
    choices = ["twice"]
    if module.needs:
        choices += ["without what it needs", "without the last of what it needs"] * 2
    if ModuleImage.from_bytes(module.data).exports:
        choices += ["exports taken"] * 2
    what = rng.choice(choices)
    if what == "twice":
        return _case(module, what, module.data, before=(*module.needs, module.path))
    if what == "without what it needs":
        return _case(module, what, module.data, before=())
    if what == "without the last of what it needs":
        return _case(module, what, module.data, before=module.needs[:-1])
    return _case(module, what, bytes(_renamed(module)), before=(*module.needs, module.path))


def _renamed(module: Module) -> bytearray:
    """The same module under another name, as a second build of the same code would be."""
    data = _unsigned(module)
    name = ModuleImage.from_bytes(bytes(data), module.path.name).name.encode()
    other = bytes([name[0] ^ 1]) + name[1:]
    place = _field(data, "name")
    assert place is not None
    data[place.start : place.stop] = other
    this = _section(data, ".gnu.linkonce.this_module")
    assert this is not None
    at = data.index(name + b"\0", this.start, this.stop)
    data[at : at + len(name)] = other
    return data


def profile(module: Module, rng: random.Random) -> Case | None:
    data = module.data if rng.random() < 0.5 else bytes(_unsigned(module))
    return _case(module, "as it is", data, profile=rng.choice(sorted(PROFILES)))


def _needs_ours(module: Module) -> bool:
    return any("kernel" not in path.parts for path in module.needs)


MUTATIONS: dict[str, Mutation] = {
    "vermagic": vermagic,
    "crc": crc,
    "removed export": removed_export,
    "licence": licence,
    "namespace": namespace,
    "signature": signatures,
    "tampering": tampering,
    "truncation": truncation,
    "elf header": elf_header,
    "parameters": parameters,
    "load order": load_order,
    "profile": profile,
}


def cases(
    modules: tuple[Module, ...], count: int, seed: int = 1, kinds: Collection[str] = MUTATIONS
) -> list[Case]:
    """Return ``count`` cases, as many of each kind, each of a module drawn at random.

    A kind that a module has no use for (no namespace, no parameters) is given another module;
    one that no module has a use for must not be among ``kinds``.
    """
    found = []
    order = sorted(kinds)
    for number in range(count):
        kind = order[number % len(order)]
        rng = random.Random(f"{seed}/{number}")
        while True:
            module = rng.choice(modules)
            if kind == "parameters" and rng.random() < 0.7:
                module = next(m for m in modules if m.path.name == "params.ko")
            case = MUTATIONS[kind](module, rng)
            if case is not None and case.profile != "plain" and _needs_ours(module):
                continue  # what it needs is unsigned, and would not load itself
            if case is not None:
                found.append(replace(case, kind=kind))
                break
    return found
