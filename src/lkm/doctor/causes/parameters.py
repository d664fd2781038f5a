"""A parameter's value that the module does not take.

Source: ``kernel/params.c`` (parse_args, param_set_*, param_array).
"""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOSPC, ERANGE

from lkm.doctor.finding import Evidence, Finding, Fix, Severity


def _fix(module: str, parameter: str) -> Fix:
    return Fix(
        f"give a value {parameter} takes",
        (f"modinfo -p {module}", f"grep -rs {module} /etc/modprobe.d /lib/modprobe.d"),
    )


def invalid(
    module: str,
    parameter: str,
    value: str,
    *,
    errno: int = EINVAL,
    kind: str = "",
    source: str = "",
) -> Finding:
    """The value is not of the parameter's type, or out of its range (ERANGE)."""
    evidence = [Evidence("given", f"{parameter}={value}" if value else parameter, source)]
    if kind:
        evidence.append(Evidence("type", kind))
    what = "is out of the range of" if errno == ERANGE else "is no value for"
    return Finding(
        "bad-parameter",
        Severity.FATAL,
        f"{value!r} {what} the parameter {parameter}" + (f" ({kind})" if kind else ""),
        errno,
        f"{module}: `{value}' invalid for parameter `{parameter}'",
        module=module,
        subject=parameter,
        evidence=tuple(evidence),
        fixes=(_fix(module, parameter),),
    )


def too_long(module: str, parameter: str, value: str = "", message: str = "") -> Finding:
    """A text longer than the parameter holds: 1024 bytes, or its own buffer."""
    evidence = (Evidence("length", f"{len(value.encode())} bytes"),) if value else ()
    return Finding(
        "bad-parameter",
        Severity.FATAL,
        f"the text for the parameter {parameter} is too long",
        ENOSPC,
        message or f"{parameter}: string parameter too long",
        module=module,
        subject=parameter,
        evidence=evidence,
        fixes=(_fix(module, parameter),),
    )


def too_many(module: str, parameter: str, limit: int | None = None) -> Finding:
    """More values than the array holds."""
    text = f"{limit} values" if limit is not None else "as many values"
    return Finding(
        "bad-parameter",
        Severity.FATAL,
        f"the parameter {parameter} does not take more than {text}",
        EINVAL,
        f"{parameter}: can only take {limit} arguments",
        module=module,
        subject=parameter,
        fixes=(_fix(module, parameter),),
    )


def unknown(
    module: str, parameter: str, *, source: str = "", nearest: str = "", fatal: bool = False
) -> Finding:
    """There is no such parameter: a warning, and the value has no effect; fatal before 3.11."""
    evidence = [Evidence("given", parameter, source)] if source else []
    if nearest:
        evidence.append(Evidence("name like it", nearest))
    return Finding(
        "unknown-parameter",
        Severity.FATAL if fatal else Severity.WARNING,
        f"the module has no parameter {parameter}"
        + ("" if fatal else "; the kernel ignores it and loads the module"),
        ENOENT if fatal else 0,
        f"{module}: unknown parameter '{parameter}' ignored",
        module=module,
        subject=parameter,
        evidence=tuple(evidence),
        fixes=(Fix("see which it has", (f"modinfo -p {module}",)),),
    )


def after_dashes(module: str, text: str) -> Finding:
    """The kernel ignores the words after ``--``."""
    return Finding(
        "ignored-parameters",
        Severity.WARNING,
        f"what follows -- is ignored: {text}",
        0,
        f"{module}: parameters '{text}' after `--' ignored",
        module=module,
        subject=text,
    )
