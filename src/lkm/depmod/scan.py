"""Read from a module file what the indexes are made of, as fast as Python can.

The usual file (64-bit little-endian, with ``__versions`` that name all its undefined symbols) is
read in four short reads without building any object per section or symbol. Whatever is unusual
about a file, the careful reader (``lkm.depmod.careful``) looks at it instead.

Source of what counts: kmod's ``libkmod/libkmod-elf.c`` (``kmod_elf_get_symbols``,
``kmod_elf_get_dependency_symbols``).
"""

from __future__ import annotations

import os
from struct import Struct
from struct import error as StructError

from lkm.depmod.module_facts import ended
from lkm.depmod.signature import NO_SIGNATURE, signature
from lkm.errors import LkmError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any, TypeVar

    from lkm.depmod.module_facts import Facts
    from lkm.depmod.signature import Signature

    _Bytes = TypeVar("_Bytes", bytes, bytes | memoryview)

    Scanned = tuple[Facts, Signature]

    Read = Callable[[Any, int, int], bytes]
    """``read(file, size, offset)`` returns up to ``size`` bytes at ``offset``, as ``os.pread``."""

    Keep = Callable[[Any, int, int], bytes | memoryview]
    """The same, for what is kept until all modules were read."""

    File = tuple[Read, Any, int]
    """What reads, the file it reads, and the size of that."""

    Sections = tuple[memoryview[int], list[int], bytes]
    """The section headers as 64-bit words, the first word of each, and their names."""

_header = Struct("<6s34xQ10xHHH").unpack_from
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SECTION = 64
_SYMBOL = 24
_NAMES_GUESS = 1024  # the section names usually lie just before the section headers
_LARGEST = 1 << 28  # bytes; the careful reader knows how large a module may be
_ONE_BYTE = 256
# A section header in 64-bit words: the first is its type and where its name begins, another its
# link and info; sh_info of a symbol table is the number of local symbols.
_WORDS, _OFFSET, _SIZE, _INFO = 8, 3, 4, 5
_PROGBITS, _SYMTAB, _STRTAB = 1 << 32, 2 << 32, 3 << 32
VERSION_RECORD = 64
iterate_versions = Struct("8x56s").iter_unpack  # struct modversion_info: a CRC, a padded name
_EMPTY_ZSTD = bytes.fromhex("28b52ffd2000010000")
_UNDEFINED = 1 << 48  # a symbol's first word is below it when its section index is 0


class _UnusualError(Exception):
    """This file is for the careful reader."""


_NOT_USUAL = (_UnusualError, ValueError, IndexError, TypeError, StructError, OverflowError)


def scan(directory: str, paths: Sequence[str], keep: Keep = os.pread) -> list[Scanned]:
    """Return the facts of the modules ``paths``, absolute or relative to ``directory``."""
    found = []
    flags = os.O_RDONLY | os.O_CLOEXEC
    folder = os.open(directory, flags | os.O_DIRECTORY)
    try:
        for path in paths:
            try:
                if not path.endswith(".ko"):
                    found.append(_packed(os.path.join(directory, path)))
                    continue
                descriptor = os.open(path, flags, dir_fd=folder)
                try:
                    status = os.fstat(descriptor)
                    facts = _usual_facts(os.pread, keep, descriptor, status.st_size)
                except _NOT_USUAL:
                    facts = careful().read_facts(os.path.join(directory, path))
                finally:
                    os.close(descriptor)
                found.append((facts, (status.st_size, status.st_mtime_ns, status.st_ino)))
            except OSError as error:
                found.append((careful().unreadable(error), NO_SIGNATURE))
    finally:
        os.close(folder)
    return found


def prepare(paths: Sequence[str]) -> None:
    """Import what packed modules need, before processes are forked that all would import it."""
    if paths and paths[0].endswith(".ko.zst"):
        from lkm.module.compression import decompress

        try:
            decompress(_EMPTY_ZSTD)
        except LkmError:
            return  # reading them will tell


def _packed(name: str) -> Scanned:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        facts = _usual_facts(_part, *_unpacked(descriptor, status.st_size))
    except (LkmError, *_NOT_USUAL):
        facts = careful().read_facts(name)
    finally:
        os.close(descriptor)
    return facts, signature(status)


def _unpacked(descriptor: int, size: int) -> File:
    """Return the payload of a packed file, to be read like one."""
    from lkm.module.compression import decompress

    payload = decompress(os.read(descriptor, size))
    return _part, payload, len(payload)


def _part(payload: bytes, size: int, offset: int) -> bytes:
    return payload[offset : offset + size]


def careful() -> ModuleType:
    """Return the careful reader, whose import most trees need not pay for."""
    from lkm.depmod import careful as reader

    return reader


def undefined_names(name: str) -> list[bytes]:
    """Return the undefined symbols of the module in the file ``name``, in the table's order."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        file: File = (os.pread, descriptor, size)
        if not name.endswith(".ko"):
            file = _unpacked(descriptor, size)
        return _undefined(*file, _sections(*file))
    except (LkmError, *_NOT_USUAL):
        imports: bytes = careful().read_facts(name)[5]
        return imports.split(b"\0")[:-1]
    finally:
        os.close(descriptor)


def _usual_facts(read: Read, keep: Keep, file: Any, size: int) -> Facts:
    # One function, and plain loops over numbers: it runs for every module of a tree.
    sections = words, kinds, names = _sections(read, file, size)
    find, index = names.rfind, kinds.index  # from the back, which is quicker
    header = _WORDS * index(_PROGBITS | find(b"\0.modinfo\0") + 1)
    modinfo = _section(read, file, size, words, header)
    place = find(b"\0__versions\0") + 1
    versions: bytes | memoryview = b""
    if place:
        versions = _section(keep, file, size, words, _WORDS * index(_PROGBITS | place))
    aliases = softdeps = weakdeps = exports = b""
    if b"alias=" in modinfo:
        aliases = _fields(modinfo, b"alias=")
    if modinfo.rfind(b"dep=") >= 0:  # three times as fast as from the front
        softdeps = _fields(modinfo, b"softdep=")
        weakdeps = _fields(modinfo, b"weakdep=")
    if find(b"__ksymtab_strings\0") >= 0:
        exports = _exports(read, file, size, sections)
    if not place:
        imports = _undefined(read, file, size, sections)
        return aliases, softdeps, weakdeps, exports, b"", ended(imports), ""
    kind = _SYMTAB | names.find(b"\0.symtab\0") + 1
    # It is the last but two usually, and from the front the search would be long.
    table = _WORDS * (len(kinds) - 3 if kinds[-3] == kind else index(kind))
    # Only the symbols after the local ones can be undefined.
    offset, length = words[table + _OFFSET], words[table + _SIZE]
    local = (words[table + _INFO] >> 32) * _SYMBOL
    if offset + length > size or local > length:
        raise _UnusualError
    # modpost writes a record for each undefined symbol whose CRC it knows, and module_layout.
    # A symbol is undefined when its section index is 0; below 256 sections one byte tells.
    undefined = read(file, length - local, offset + local)[6::_SYMBOL].count(0)
    if undefined + 1 == len(versions) // VERSION_RECORD and len(kinds) <= _ONE_BYTE:
        return aliases, softdeps, weakdeps, exports, versions, b"", ""
    imports = _undefined(read, file, size, sections)
    have = set(imports)
    recorded = (name.partition(b"\0")[0] for (name,) in iterate_versions(versions))
    imports += [name for name in recorded if name not in have]
    return aliases, softdeps, weakdeps, exports, b"", ended(imports), ""


def _sections(read: Read, file: Any, size: int) -> Sections:
    ident, offset, entry_size, count, strings = _header(read(file, 64, 0))
    end = offset + count * _SECTION
    if ident != _ELF64_LITTLE or entry_size != _SECTION or not end <= size <= _LARGEST:
        raise _UnusualError
    start = offset - _NAMES_GUESS if offset > _NAMES_GUESS else 0
    tail = read(file, end - start, start)
    words = memoryview(tail)[offset - start :].cast("Q")
    begin, length = words[_WORDS * strings + _OFFSET], words[_WORDS * strings + _SIZE]
    if begin >= start:
        names = tail[begin - start : begin - start + length]
    else:
        names = _section(read, file, size, words, _WORDS * strings)
    return words, words[::_WORDS].tolist(), names


def _section(
    read: Callable[[Any, int, int], _Bytes],
    file: Any,
    size: int,
    words: memoryview[int],
    header: int,
) -> _Bytes:
    """Return the bytes of the section with this header."""
    if words[header + _OFFSET] + words[header + _SIZE] > size:
        raise _UnusualError
    return read(file, words[header + _SIZE], words[header + _OFFSET])


def _fields(data: bytes, key: bytes) -> bytes:
    data = b"\0" + data
    after_end = b"\0" + key
    first = data.find(after_end)
    if first < 0:
        return b""
    # The fields of one key stand together, as a rule.
    own = data[first : data.find(b"\0", data.rfind(after_end) + 1) + 1]
    size = len(key)
    values = own.replace(after_end, b"\0")
    if len(own) - len(values) == size * (values.count(b"\0") - 1):
        return values[1:]
    return ended([entry[size:] for entry in data.split(b"\0") if entry[:size] == key])


def _exports(read: Read, file: Any, size: int, sections: Sections) -> bytes:
    words, kinds, names = sections
    place = names.find(b"\0__ksymtab_strings\0") + 1
    strings = _section(read, file, size, words, _WORDS * kinds.index(_PROGBITS | place))
    checksums = 0
    for table in (b"\0__kcrctab\0", b"\0__kcrctab_gpl\0"):
        kind = _PROGBITS | names.find(table) + 1
        if kind in kinds:
            checksums += words[_WORDS * kinds.index(kind) + _SIZE]
    # A name is followed by that of its namespace, which is usually empty.
    exports = strings.replace(b"\0\0", b"\0")
    if exports.count(b"\0") * 4 == checksums and exports[:1] != b"\0" and exports[-1:] == b"\0":
        return exports
    # There are namespaces among the names, or no CRCs at all.
    place = names.find(b"\0.strtab\0") + 1
    texts = _section(read, file, size, words, _WORDS * kinds.index(_STRTAB | place))
    named = [text.partition(b"\0")[0] for text in texts.split(b"\0__crc_")[1:]]
    if not named:
        return ended([name for name in strings.split(b"\0") if name])
    if len(named) * 4 != checksums:
        raise _UnusualError
    return ended(named)


def _undefined(read: Read, file: Any, size: int, sections: Sections) -> list[bytes]:
    """Return the names of the undefined symbols in the table's order."""
    words, kinds, names = sections
    place = names.find(b"\0.symtab\0") + 1
    table = _WORDS * kinds.index(_SYMTAB | place)
    offset, length = words[table + _OFFSET], words[table + _SIZE]
    local = (words[table + _INFO] >> 32) * _SYMBOL
    if offset + length > size or local > length:
        raise _UnusualError
    symbols = memoryview(read(file, length - local, offset + local)).cast("Q")[::3].tolist()
    place = names.find(b"\0.strtab\0") + 1
    texts = _section(read, file, size, words, _WORDS * kinds.index(_STRTAB | place))
    end = texts.index
    return [
        texts[at : end(0, at)]
        for word in symbols
        if word < _UNDEFINED and (at := word & 0xFFFF_FFFF)
    ]
