"""Failures to make: modules of a kernel's own tree, changed so that the kernel must refuse them.

Each is a real file and a real load; nothing is compiled. The kernel's answer is not known here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lkm.elf.file import SectionType
from lkm.errors import NotFoundError
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.operations.demonstration.changed_modules import ModuleSupply, field_of, section_of
from lkm.operations.demonstration.way import Question
from lkm.signing import keys, sign
from lkm.signing.sign import KeySigner

_USUAL = "dummy"
"""A module without dependencies, with a parameter (``numdummies``) and GPL-only symbols."""
_E_MACHINE, _AARCH64 = 18, 183
_REFUSING = "i2c-stub"
"""A module whose init refuses without a parameter."""


@dataclass(frozen=True, slots=True)
class FailureSetting:
    """The kernel whose modules are used, and the folder that the changed one is written to."""

    tree: ModuleSupply
    folder: Path

    def question(self, data: bytes | bytearray, **more: object) -> Question:
        """Return the load of changed bytes."""
        path = self.folder / f"{_USUAL}.ko"
        path.write_bytes(data)
        where = f"emulated:{self.tree.kernel.release}"
        return Question(str(path), where, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class MadeFailure:
    """A failure: its name, a title, what is done to the module; ``command`` for one's own file."""

    name: str
    title: str
    what: str
    command: str
    make: Callable[[FailureSetting], Question]


def question_of(name: str, kernel: KnownKernel, folder: Path) -> Question:
    """Make a failure: return the load that fails; its module is written to ``folder``."""
    for failure in FAILURES:
        if failure.name == name:
            return failure.make(FailureSetting(ModuleSupply(kernel), folder))
    raise NotFoundError(
        f"there is no failure {name!r}",
        hint=f"there are: {', '.join(failure.name for failure in FAILURES)}",
    )


def _no_elf(at: FailureSetting) -> Question:
    return at.question(b"#!/bin/sh\necho I am not a module\n" * 64)


def _cut(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    return at.question(data[: len(data) // 2])


def _other_machine(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    struct.pack_into("<H", data, _E_MACHINE, _AARCH64)
    return at.question(data)


def _stripped(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    image = ModuleImage.from_bytes(bytes(data))
    (table,) = struct.unpack_from("<Q", data, 0x28)  # e_shoff
    for section in image.sections:
        if section.type == SectionType.SYMTAB:
            struct.pack_into("<I", data, table + 64 * section.index + 4, SectionType.PROGBITS)
    return at.question(data)


def _unsigned(at: FailureSetting) -> Question:
    return at.question(at.tree.unsigned(_USUAL), sig_enforce=True)


def _unknown_key(at: FailureSetting) -> Question:
    pair = keys.generate("nobody the kernel knows")
    signer = KeySigner(pair.private_key, pair.certificate)
    return at.question(sign.signed(bytes(at.tree.unsigned(_USUAL)), signer), sig_enforce=True)


def _locked_down(at: FailureSetting) -> Question:
    return at.question(at.tree.unsigned(_USUAL), lockdown=True)


def _tampered(at: FailureSetting) -> Question:
    data = bytearray(at.tree.signed(_USUAL))
    place = field_of(data, "alias")
    data[place.start] ^= 0x20
    return at.question(data)


def _other_kernel(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    place = field_of(data, "vermagic")
    smp = data.index(b"SMP ", place.start, place.stop)
    data[smp : smp + 3] = b"smp"
    return at.question(data)


def _checksum(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    wanted = ModuleImage.from_bytes(bytes(data)).elf.undefined_symbols
    table = section_of(data, "__versions")
    for start in range(table.start, table.stop, 64):  # struct modversion_info
        name = bytes(data[start + 8 : start + 64]).split(b"\0")[0].decode()
        if any(symbol.name == name for symbol in wanted):
            data[start] ^= 0xFF
            return at.question(data)
    raise NotFoundError("the module has no symbol versions")


def _unknown_symbol(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    elf = ModuleImage.from_bytes(bytes(data)).elf
    assert elf.symbol_table is not None
    strings = elf.section_at(elf.symbol_table.link)
    name = elf.undefined_symbols[0].name.encode()
    start = data.index(b"\0" + name + b"\0", strings.offset, strings.offset + strings.size)
    data[start + 1] = ord("Q")
    return at.question(data)


def _proprietary(at: FailureSetting) -> Question:
    data = at.tree.unsigned(_USUAL)
    place = field_of(data, "license")
    data[place.start : place.stop] = b"MIT"[: len(place)].ljust(len(place), b"\0")
    return at.question(data)


def _parameter(at: FailureSetting) -> Question:
    return at.question(at.tree.signed(_USUAL), parameters="numdummies=lots")


def _twice(at: FailureSetting) -> Question:
    return at.question(at.tree.signed(_USUAL), before=(str(at.tree.find(_USUAL)),))


def _init_refuses(at: FailureSetting) -> Question:
    path = at.folder / "i2c-stub.ko"
    path.write_bytes(at.tree.signed(_REFUSING))
    return Question(str(path), f"emulated:{at.tree.kernel.release}")


FAILURES: tuple[MadeFailure, ...] = (
    MadeFailure(
        name="not-elf",
        title="A file that is no module",
        what="a shell script is called dummy.ko",
        command="lkm doctor FILE.ko",
        make=_no_elf,
    ),
    MadeFailure(
        name="cut-off",
        title="Half a file",
        what="the copy broke off in the middle",
        command="lkm doctor FILE.ko",
        make=_cut,
    ),
    MadeFailure(
        name="other-machine",
        title="Built for arm64",
        what="the ELF header names another processor",
        command="lkm doctor FILE.ko",
        make=_other_machine,
    ),
    MadeFailure(
        name="stripped",
        title="Stripped of its symbols",
        what="strip took away the symbol table",
        command="lkm doctor FILE.ko",
        make=_stripped,
    ),
    MadeFailure(
        name="unsigned",
        title="Unsigned, where signatures are demanded",
        what="the signature is cut off; module.sig_enforce=1",
        command="lkm try FILE.ko --sig-enforce",
        make=_unsigned,
    ),
    MadeFailure(
        name="unknown-key",
        title="Signed by somebody unknown",
        what="signed with a key that the kernel has not; module.sig_enforce=1",
        command="lkm verify FILE.ko",
        make=_unknown_key,
    ),
    MadeFailure(
        name="locked-down",
        title="Unsigned, under lockdown",
        what="the signature is cut off; the kernel is locked down, as Secure Boot does",
        command="lkm try FILE.ko --lockdown",
        make=_locked_down,
    ),
    MadeFailure(
        name="tampered",
        title="One letter changed after signing",
        what="a letter of an alias is changed; the signature stays",
        command="lkm verify FILE.ko",
        make=_tampered,
    ),
    MadeFailure(
        name="other-kernel",
        title="Built for a kernel configured otherwise",
        what="its vermagic does not say SMP",
        command="lkm doctor FILE.ko",
        make=_other_kernel,
    ),
    MadeFailure(
        name="checksum",
        title="A symbol that has changed since",
        what="the checksum (CRC) of one symbol is another",
        command="lkm doctor FILE.ko",
        make=_checksum,
    ),
    MadeFailure(
        name="unknown-symbol",
        title="A symbol that nobody has",
        what="one symbol it needs is renamed",
        command="lkm doctor FILE.ko",
        make=_unknown_symbol,
    ),
    MadeFailure(
        name="gpl-only",
        title="Proprietary, using GPL-only symbols",
        what="its licence is changed to MIT",
        command="lkm doctor FILE.ko",
        make=_proprietary,
    ),
    MadeFailure(
        name="parameter",
        title="A parameter that makes no sense",
        what="numdummies=lots",
        command="lkm doctor FILE.ko PARAM=VALUE",
        make=_parameter,
    ),
    MadeFailure(
        name="already-loaded",
        title="Loaded already",
        what="the same module is loaded twice",
        command="lkm lsmod",
        make=_twice,
    ),
    MadeFailure(
        name="init-refuses",
        title="Its own init says no",
        what="i2c-stub without its chip_addr",
        command="lkm try i2c-stub",
        make=_init_refuses,
    ),
)
"""All failures, in the order in which load_module comes to them."""
