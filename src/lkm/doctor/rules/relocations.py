"""Messages of the architectures' own linkers (``arch/*/kernel/module.c``, ``module-plts.c``)."""

from __future__ import annotations

import re

from lkm.doctor.causes import format, relocation
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import LogRule, rule


def _of_type(m: re.Match[str]) -> Finding:
    groups = m.groupdict()
    number = groups.get("n") or groups.get("x") or "0"
    value = int(number, 16 if groups.get("x") else 10)
    return relocation.unknown_type(
        groups.get("m") or "", value, _machine(m[0], value), m[0].strip()
    )


def _machine(text: str, number: int) -> int | None:
    lowered = text.lower()
    if "unsupported rela relocation" in lowered and number >= 256:
        return 183
    if "unsupported rela relocation" in lowered:
        return 258 if number > 50 else None
    if "rela relocation" in lowered:  # x86-64, since 2.6: "Unknown rela relocation: 42"
        return 62
    if "unknown add relocation" in lowered:
        return 21
    if "unknown relocation: " in lowered and "powerpc" not in lowered and "module" in lowered:
        return 3 if number < 64 else 40
    return 40 if "unknown relocation:" in lowered else None


RELOCATIONS: tuple[LogRule, ...] = (
    rule("invalid relocation target", r"(?:(?:x86/)?modules?: )?(?:Skipping )?invalid relocation target, existing value (?:is nonzero|does not match expected value) for type (?P<n>\d{1,6})",
         lambda m: relocation.nonzero_target("", int(m["n"]), m[0])),
    rule("relocation", r"module {m}: (?:unsupported|Unknown|unknown) (?:RELA |rela |ADD |REL )?relocation(?: type)?:? ?(?P<n>\d{1,6})", _of_type),
    rule("relocation", r"{m}: (?:unsupported|Unknown|unknown) (?:RELA |rela |ADD |REL )?relocation(?: type)?:? ?(?P<n>\d{1,6})(?!x)", _of_type),
    rule("relocation", r"(?:Unknown|unsupported|Unsupported) (?:rela |RELA |ADD )?relocation(?: type)?:? ?(?:0x(?P<x>[0-9a-f]{1,4})|(?P<n>\d{1,6}))(?: in module {m})?", _of_type),
    rule("type is not supported", r"relocation type (?P<n>\d{1,6}) (?:is )?not supported", _of_type),
    rule("relocation", r"(?:module )?{m}: overflow in relocation type (?P<n>\d{1,6}) val", lambda m: relocation.out_of_range(m["m"], m[0])),
    rule("overflow in relocation", r"(?:{m}: )?overflow in relocation type \d{1,6}", lambda m: relocation.out_of_range(m["m"] or "", m[0])),
    rule("out of range", r"(?:module )?{m}: .{0,60}?relocation \d{1,9} out of range|(?:module )?{o}: section \d{1,6} reloc \d{1,9} sym '[^']{0,200}': relocation \d{1,6} out of range",
         lambda m: relocation.out_of_range(m["m"] or m["o"], m[0])),
    rule("likely not compiled with -mcmodel", r"(?:module )?{m} likely not compiled with -mcmodel=kernel|`{o}' likely not compiled with -mcmodel=kernel",
         lambda m: relocation.out_of_range(m["m"] or m["o"], m[0])),
    rule("offset > 32", r"(?:\w{1,20}: )?(?:target|offset|REL(?:24|14)).{0,80}(?:out of range|> 32|overflow)", lambda m: relocation.out_of_range("", m[0])),
    rule("rel24", r"{m}: REL24 -?\d{1,20} out of range", lambda m: relocation.out_of_range(m["m"], m[0])),
    rule("rel relocation unsupported", r"module {m}: REL relocation unsupported", lambda m: relocation.unknown_type(m["m"], 0, None, m[0])),
    rule("doesn't contain .toc", r"{m}: doesn't contain \.toc or \.stubs", lambda m: format.no_this_module(m["m"], m[0])),
    rule("no module stubs", r"{m}: doesn't contain \.plt or \.init\.plt|(?:module )?{o}: (?:module )?PLT section\(?s?\)? missing",
         lambda m: relocation.plt_missing(m["m"] or m["o"], m[0])),
    rule("plt section", r"(?:module )?{m}: (?:module )?PLT section\(?s?\)? missing", lambda m: relocation.plt_missing(m["m"], m[0])),
    rule("requires more than", r"{m}: (?:requires more than|module has) .{0,60}(?:PLT|GOT|stub)", lambda m: relocation.out_of_range(m["m"], m[0])),
    rule("dangerous relocation", r"{m}: .{0,40}dangerous relocation", lambda m: relocation.out_of_range(m["m"], m[0])),
    rule("can not find", r"{m}: (?:Can not find|can't find) {s} relocation", lambda m: relocation.unknown_type(m["m"], 0, None, m[0])),
    rule("relocation", r"(?:apply_relocat\w{1,10}|relocation).{0,40}(?:failed|invalid|bad) .{0,60}(?:module|{m})", lambda m: relocation.out_of_range(m["m"] or "", m[0])),
)  # fmt: skip
