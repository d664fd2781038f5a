"""Show what a module says of itself, as kmod's modinfo does."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Iterable, Iterator

from lkm.cli import kmod_options
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.errors import FormatError, LkmError, NotFoundError
from lkm.operations import modinfo
from lkm.operations.modinfo import Found

TOOL = Tool(
    "modinfo",
    ("[options] MODULE|FILE ...",),
    (
        Option("a", "author", help="Print the authors only"),
        Option("d", "description", help="Print the description only"),
        Option("l", "license", help="Print the licence only"),
        Option("p", "parameters", help="Print the parameters only"),
        Option("n", "filename", help="Print the file name only"),
        Option("0", "null", help="End each line with NUL instead of a new line"),
        Option("m", "modname", help="Take the arguments for module names, not files or aliases"),
        Option("F", "field", "FIELD", "Print the values of FIELD only"),
        Option("k", "set-version", "VERSION", "Take VERSION for the running kernel's release"),
        Option("b", "basedir", "DIR", "Look for lib/modules under DIR"),
        JSON,
        VERSION,
        HELP,
    ),
    operands="module",
)

_SHORTCUTS = {
    "author": "author",
    "description": "description",
    "license": "license",
    "parameters": "parm",
    "filename": "filename",
}
_WIDTH = 15
_PARAMETERS = frozenset({"parm", "parmtype"})


def run(arguments: list[str]) -> int:
    """Run modinfo and return its exit status."""
    return kmod_options.run(TOOL, arguments, _run)


def _run(parsed: Parsed) -> int:
    if not parsed.operands:
        return _fail("missing module or filename.")
    # Thousands of small tuples are made and none forms a cycle: collecting takes half the time.
    gc.disable()
    directory = _directory(parsed)
    if parsed.has("json"):
        return _print_json(parsed, directory)
    field = _field(parsed)
    end = "\0" if parsed.has("null") else "\n"
    status = 0
    for wanted in parsed.operands:
        try:
            for found in modinfo.find(wanted, directory, only_name=parsed.has("modname")):
                status |= _show(found, directory, field, end)
        except NotFoundError as error:
            status = _fail(error.message)
    return status


def _directory(parsed: Parsed) -> str:
    base, release = parsed.last("basedir"), parsed.last("set-version")
    if base and not base.startswith("/"):
        base = f"{os.getcwd()}/{base}"
    return f"{base or ''}/lib/modules/{release or os.uname().release}"


def _field(parsed: Parsed) -> str | None:
    """Return the one field to print, ``None`` for all; the last option that names one counts."""
    chosen = None
    for key, argument in parsed.options:
        chosen = argument if key == "field" else _SHORTCUTS.get(key, chosen)
    return chosen


def _show(found: Found, directory: str, field: str | None, end: str) -> int:
    filename = found.path or modinfo.BUILTIN
    if field == "filename":
        _write(f"{filename}{end}")
        return 0
    try:
        fields = modinfo.fields(found, directory)
    except (LkmError, OSError) as error:
        _write("".join(_heading(found, field, filename, end)))
        return _fail(f"could not get modinfo from '{found.name}': {_reason(error)}")
    lines = _one_field(fields, field, end) if field else _all_fields(fields, end)
    _write("".join([*_heading(found, field, filename, end), *lines]))
    return 0


def _heading(found: Found, field: str | None, filename: str, end: str) -> Iterator[str]:
    if found.path is None and field == "name":
        yield f"{found.name}{end}"
    if field is None:
        if found.path is None:
            yield f"name:           {found.name}{end}"
        yield f"filename:       {filename}{end}"


def _one_field(fields: Iterable[tuple[str, str]], field: str, end: str) -> Iterator[str]:
    if field != "parm":
        return (f"{value}{end}" for key, value in fields if key == field)
    return (
        f"{name}: ({kind}){end}" if text is None else f"{name}:{text}{_in_brackets(kind)}{end}"
        for name, text, kind in _parameters(fields)
    )


def _all_fields(fields: tuple[tuple[str, str], ...], end: str) -> Iterator[str]:
    label = _null_label if end == "\0" else _label
    yield from [f"{label(key)}{value}{end}" for key, value in fields if key not in _PARAMETERS]
    for name, text, kind in _parameters(fields):
        shown = kind if text is None else f"{text}{_in_brackets(kind)}"
        yield f"parm:           {name}:{shown}{end}"


@functools.lru_cache(maxsize=256)
def _label(key: str) -> str:
    """Return the key padded as printf's ``%s:%-*s`` does, whose width may turn negative."""
    return f"{key}:{' ' * abs(_WIDTH - len(os.fsencode(key)))}"


def _null_label(key: str) -> str:
    return f"{key}="


def _parameters(
    fields: Iterable[tuple[str, str]],
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield name, description and type of each parameter, the last one in the file first."""
    found: dict[str, dict[str, str]] = {}
    for key, value in fields:
        if key not in _PARAMETERS:
            continue
        name, colon, text = value.partition(":")
        if colon:
            found.setdefault(name, {})[key] = text
        else:
            _fail(f"Found invalid \"{key}={value}\": missing ':'")
    for name in reversed(found):
        yield name, found[name].get("parm"), found[name].get("parmtype")


def _in_brackets(kind: str | None) -> str:
    return "" if kind is None else f" ({kind})"


def _print_json(parsed: Parsed, directory: str) -> int:
    from lkm.cli.output import print_json

    status = 0
    modules = []
    for wanted in parsed.operands:
        try:
            for found in modinfo.find(wanted, directory, only_name=parsed.has("modname")):
                fields = modinfo.fields(found, directory)
                modules.append({"name": found.name, "path": found.path, "fields": fields})
        except FormatError as error:
            status = _fail(str(error))
        except NotFoundError as error:
            status = _fail(error.message)
    print_json("modinfo", modules=modules)
    return status


def _reason(error: LkmError | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.message


def _write(text: str) -> None:
    sys.stdout.buffer.write(os.fsencode(text))


def _fail(message: str) -> int:
    sys.stdout.flush()
    print(f"modinfo: ERROR: {message}", file=sys.stderr)
    return 1
