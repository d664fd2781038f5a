"""Read the arguments of calls by the prototypes in the kernel's BTF."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from unicorn import x86_const as x86

from lkm.errors import LkmError
from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.memory import MASK
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.tasks import FUNCTION_ARGUMENTS
from lkm.kernel.emulated.watch.findings import CallArgument
from lkm.vmlinux.btf import Btf, BtfKind

_TEXT_LIMIT = 256
_SIZES = {"_Bool": 1, "char": 1, "short": 2, "int": 4, "long": 8}
_STRINGS = ("char *", "const char *")
VOID = "void"


@dataclass(frozen=True, slots=True)
class CallPrototype:
    """A function's parameters as (name, type, bytes, signed), and its result's."""

    parameters: tuple[tuple[str, str, int, bool], ...]
    result: tuple[str, int, bool]
    known: bool = True


UNKNOWN = CallPrototype((), (VOID, 8, False), known=False)


class Signatures:
    """The prototypes of the kernel's functions, from its types."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._found: dict[str, CallPrototype] = {}

    def of(self, function: str) -> CallPrototype:
        """Return the signature of a function, ``UNKNOWN`` when the kernel has none."""
        found = self._found.get(function)
        if found is None:
            found = self._found[function] = self._read(function)
        return found

    def _read(self, function: str) -> CallPrototype:
        try:
            prototype = self._btf.prototype(function)
        except LkmError:
            return UNKNOWN
        named = [(name, type_) for name, type_ in prototype.parameters if type_ != "..."]
        parameters = tuple((name, type_, *self._width(type_)) for name, type_ in named)
        return CallPrototype(parameters, (prototype.result, *self._width(prototype.result)))

    def _width(self, spelled: str) -> tuple[int, bool]:
        """Return the size in bytes and the signedness of a type as C spells it."""
        words = spelled.removeprefix("const ").removeprefix("volatile ")
        if words.endswith(("*", ")")):
            return 8, False
        with contextlib.suppress(LkmError):
            words = self._btf.resolve(self._btf.find(words, BtfKind.TYPEDEF).id).name
        if words.startswith("enum "):
            return 4, True
        parts = words.split()
        size = next((size for name, size in _SIZES.items() if name in parts), 8)
        return size, "unsigned" not in parts and "_Bool" not in parts and words != VOID


def arguments(processor: Processor, signature: CallPrototype) -> tuple[CallArgument, ...]:
    """Read the arguments that are in registers, as they are at a function's entry."""
    found = []
    for (name, type_, size, signed), register in zip(
        signature.parameters, FUNCTION_ARGUMENTS, strict=False
    ):
        value = narrow(processor.register(register), size, signed)
        text = _text(processor, value) if type_ in _STRINGS else None
        found.append(CallArgument(name, type_, value, text))
    return tuple(found)


def result(processor: Processor, signature: CallPrototype) -> int | None:
    """Read what a function returned, ``None`` when it returns nothing."""
    type_, size, signed = signature.result
    if type_ == VOID:
        return None
    return narrow(processor.register(x86.UC_X86_REG_RAX), size, signed)


def narrow(value: int, size: int, signed: bool) -> int:
    """Return the low ``size`` bytes of a register as a number."""
    bits = 8 * size
    value &= MASK >> (64 - bits)
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def _text(processor: Processor, address: int) -> str | None:
    if address < 4096:
        return None
    try:
        data = processor.memory.string(address, _TEXT_LIMIT)
    except NotMapped:
        return None
    return data.decode("utf-8", "replace")
