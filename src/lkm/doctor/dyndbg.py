"""Dynamic debug: the call sites a kernel lists, and the queries that switch them.

Source: ``lib/dynamic_debug.c`` (ddebug_proc_show, ddebug_parse_query, ddebug_change),
``Documentation/admin-guide/dynamic-debug-howto.rst``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lkm.errors import FormatError, UsageError
from lkm.module.names import normalize

CONTROL_FILES = ("/proc/dynamic_debug/control", "/sys/kernel/debug/dynamic_debug/control")
LONGEST_COMMAND = 4095
"""Bytes one write to the control file may have (USER_BUF_PAGE - 1)."""

_SITE = re.compile(
    r"^(?P<file>\S[^:\n]{0,1000}):(?P<line>\d{1,9}) "
    r"\[(?P<module>[^\]\n]{0,64})\](?P<function>\S{1,500}) "
    r'=(?P<flags>\w+) "(?P<format>.*)"(?: class:(?P<class>.+))?'
)
_FLAGS = re.compile(r"[-+=][a-z_]+")
_LINES = re.compile(r"(\d+)?(-)?(\d+)?")


@dataclass(frozen=True, slots=True)
class DebugSite:
    """One call site; ``flags`` is "" when it is silent, ``class_name`` "" without a class."""

    file: str
    line: int
    module: str
    function: str
    flags: str
    format: str
    class_name: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """Which sites are meant; empty fields mean all. Names may have ``*`` and ``?``.

    ``lines`` is ``N``, ``N-M``, ``N-`` or ``-M``; ``format`` a part of the text, or its beginning
    after ``^``.
    """

    module: str = ""
    file: str = ""
    function: str = ""
    lines: str = ""
    format: str = ""
    class_name: str = ""

    def __post_init__(self) -> None:
        if self.lines and not _valid_lines(self.lines):
            raise UsageError(
                f"not a line or a range of lines: {self.lines!r}", hint="10, 10-20, 10-, -20"
            )


def _valid_lines(text: str) -> bool:
    match = _LINES.fullmatch(text)
    return match is not None and (match[1] or match[3]) is not None


def parse_control(text: str, path: str = CONTROL_FILES[0]) -> tuple[DebugSite, ...]:
    """Return the call sites in the text of a control file; FormatError names a strange line."""
    sites = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _SITE.fullmatch(line)
        if match is None:
            raise FormatError(
                "'FILE:LINE [MODULE]FUNCTION =FLAGS \"FORMAT\"'",
                repr(line[:80]),
                path=f"{path}:{number}",
            )
        sites.append(_site(match))
    return tuple(sites)


def _site(match: re.Match[str]) -> DebugSite:
    class_name = (match["class"] or "").removesuffix(" (null)")
    return DebugSite(
        file=match["file"],
        line=int(match["line"]),
        module=match["module"],
        function=match["function"],
        flags="" if match["flags"] == "_" else match["flags"],
        format=_unescaped(match["format"]),
        class_name=class_name,
    )


def _unescaped(text: str) -> str:
    """Undo ``seq_escape``: three octal digits stand for a byte."""
    raw = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8) & 0xFF), text)
    return raw.replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t")


def matching(sites: Iterable[DebugSite], query: Query) -> tuple[DebugSite, ...]:
    """Return the sites that ``query`` means, as the kernel matches them."""
    return tuple(site for site in sites if matches(site, query))


def matches(site: DebugSite, query: Query) -> bool:
    """Whether the kernel would take ``site`` for one that ``query`` means."""
    return (
        _glob(normalize(query.module), site.module)
        and _file_matches(query.file, site.file)
        and _glob(query.function, site.function)
        and _line_matches(query.lines, site.line)
        and _format_matches(query.format, site.format)
        and query.class_name in ("", site.class_name)
    )


def _glob(pattern: str, text: str) -> bool:
    # The kernel knows * and ? only; fnmatch's brackets must stand for themselves.
    escaped = re.sub(r"\[", "[[]", pattern)
    return not pattern or fnmatch.fnmatchcase(text, escaped)


def _file_matches(pattern: str, path: str) -> bool:
    """A path as a whole, or its last part (``ddebug_change``)."""
    return _glob(pattern, path) or _glob(pattern, path.rpartition("/")[2])


def _line_matches(lines: str, line: int) -> bool:
    match = _LINES.fullmatch(lines)
    if not lines or match is None:
        return True
    if not match[2]:
        return line == int(match[1])
    return int(match[1] or 0) <= line <= int(match[3] or line)


def _format_matches(wanted: str, text: str) -> bool:
    if wanted.startswith("^"):
        return text.startswith(wanted[1:])
    return wanted in text


def command(query: Query, flags: str, *, at_load: bool = False) -> str:
    """Return the command that sets ``flags`` (``+p``, ``-pmf``, ``=_``) on what ``query`` means.

    ``at_load`` leaves the module out: it is given as that module's ``dyndbg=`` option.
    """
    if not _FLAGS.fullmatch(flags):
        raise UsageError(
            f"not a change of flags: {flags!r}",
            hint="+p switches printing on, -p off; =pmflt sets: print, module, function, line, "
            "thread; =_ none",
        )
    words = []
    fields = (
        ("module", "" if at_load else normalize(query.module)),
        ("file", query.file),
        ("func", query.function),
        ("line", query.lines),
        ("format", _escaped(query.format)),
        ("class", query.class_name),
    )
    for keyword, value in fields:
        if value:
            words += [keyword, _quoted(value)]
    text = " ".join([*words, flags])
    if len(text.encode()) > LONGEST_COMMAND:
        raise UsageError(f"the query is longer than {LONGEST_COMMAND} bytes")
    return text


def _escaped(text: str) -> str:
    """Write what would end the word or the command as the octal escapes the kernel undoes."""
    return "".join(f"\\{ord(c):03o}" if c in '"\\;#\n\t' else c for c in text)


def _quoted(value: str) -> str:
    if '"' in value or "\n" in value or ";" in value:
        raise UsageError(f"a name cannot hold quotes, semicolons or line ends: {value!r}")
    return f'"{value}"' if any(c.isspace() for c in value) else value
