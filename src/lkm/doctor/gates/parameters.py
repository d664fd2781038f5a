"""Does it take these parameters? (``kernel/params.c: parse_args``)

All are tried; the last one refused gives the errno. A parameter the module has not is only warned
about; one with a setter of the module's own cannot be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from errno import ENOSPC

from lkm.doctor import parameter_values as values
from lkm.doctor.case import Case
from lkm.doctor.causes import parameters
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.parameter_values import ParameterWord, Refusal
from lkm.doctor.target import nearest
from lkm.module.names import normalize

_SPECIAL = ("async_probe", "dyndbg")


def check(case: Case) -> Iterator[Finding]:
    """Split the string as the kernel does and try each value."""
    arguments, rest = values.split(case.parameters)
    known = _known(case) if arguments else {}
    for argument in arguments:
        yield from _try(case, argument, known)
    if rest:
        yield parameters.after_dashes(case.module, rest)


def _known(case: Case) -> Mapping[str, tuple[str, int | None]]:
    """Return name → (type, array length or room); type "" where only its setter knows."""
    return {p.name: (p.type or "", p.limit) for p in case.image.parameters}


def _try(
    case: Case, argument: ParameterWord, known: Mapping[str, tuple[str, int | None]]
) -> Iterator[Finding]:
    name = argument.name
    source = dict(case.sources).get(normalize(name), "")
    found = next((key for key in known if values.same_name(key, name)), None)
    if found is None:
        if name not in _SPECIAL:
            close = nearest(name, known)
            yield parameters.unknown(case.module, name, source=source, nearest=", ".join(close))
        return
    kind, limit = known[found]
    if not kind:
        yield _own_setter(case, name)
        return
    refusal = values.refusals(kind, found, argument.value, limit)
    if refusal is not None:
        yield _refused(case, argument, kind, limit, refusal=refusal, source=source)


def _refused(
    case: Case,
    argument: ParameterWord,
    kind: str,
    limit: int | None,
    *,
    refusal: Refusal,
    source: str,
) -> Finding:
    value = argument.value or ""
    if kind.startswith("array of "):
        value = value.partition(",")[0]  # param_array ends the text at each comma it passes
    if "can only take" in refusal.message:
        return parameters.too_many(case.module, argument.name, limit)
    if refusal.errno == ENOSPC:
        return parameters.too_long(case.module, argument.name, value, refusal.message)
    return parameters.invalid(
        case.module, argument.name, value, errno=refusal.errno, kind=kind, source=source
    )


def _own_setter(case: Case, name: str) -> Finding:
    return Finding(
        "parameter-unknown-type",
        Severity.NOTE,
        f"the module itself decides what {name} may be; that cannot be known beforehand",
        module=case.module,
        subject=name,
    )
