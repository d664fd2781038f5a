"""modprobe.d, modules-load.d and the kernel command line: rules that know their place.

Parsing and order are kmod's (``libkmod/libkmod-config.c``); rules that have no effect are kept
beside those that have, since a person looking for the cause wants to see them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lkm.module.names import normalize, normalize_alias
from lkm.tree import command_line
from lkm.tree.config_files import (
    ConfigFile,
    Source,
    find_files,
    logical_lines,
    next_word,
    read_bytes,
)
from lkm.tree.root import Root

COMMAND_LINE = "/proc/cmdline"
KINDS = ("blacklist", "install", "remove", "alias", "options", "softdep", "weakdep")
"""The kinds of rule, in the order ``modprobe -c`` prints them."""
_TO_THE_END = frozenset({"install", "remove", "options", "softdep", "weakdep"})
_BY_DEPMOD = ("modules.softdep", "modules.weakdep")
_NO_LONGER_READ = frozenset({b"include", b"config"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``kind name value``, and where it is written.

    ``name`` has underscores for dashes; ``value`` is the rest of the line as it stands: the
    options, the command, an alias's module, the dependencies.
    """

    kind: str
    name: str
    value: str
    source: Source


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that says nothing kmod understands; ``last_line`` is the number kmod reports."""

    source: Source
    last_line: int
    word: str
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration: ``rules`` in kmod's order, and the bad lines and masked files.

    ``masked`` are rules of files that another file of the same name hides. ``kernel`` are
    ``module_blacklist`` and ``modules_load`` rules of the kernel command line, which modprobe
    does not read.
    """

    rules: tuple[Rule, ...] = ()
    bad_lines: tuple[BadLine, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    masked: tuple[Rule, ...] = ()
    kernel: tuple[Rule, ...] = ()
    directories_inside: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Rule]:
        """Return the rules of one kind, in order."""
        return [rule for rule in self.rules if rule.kind == kind]


def read_config(
    paths: Iterable[str] | None = None,
    *,
    modules_directory: str = "",
    kernel_command_line: str = COMMAND_LINE,
    root: Root | None = None,
) -> Config:
    """Read modprobe's configuration.

    ``paths`` are directories (the strongest first) or files, by default ``root``'s modprobe.d
    directories. ``modules_directory`` adds its ``modules.softdep`` and ``modules.weakdep``, which
    take part by their names like any other file; ``kernel_command_line`` is a file as
    /proc/cmdline, or empty for none.
    """
    if paths is None:
        paths = (root or Root("/")).config_directories("modprobe.d")
    directories = tuple(paths)
    written = [f"{modules_directory}/{name}" for name in _BY_DEPMOD] if modules_directory else []
    files = find_files(directories, extra=written)
    effective: list[Rule] = []
    masked: list[Rule] = []
    bad_lines: list[BadLine] = []
    for file in files:
        rules, bad = parse_rules(read_bytes(file.path) or b"", file.path)
        if file.masked_by:
            masked += rules
        else:
            effective += rules
            bad_lines += bad
    kernel: list[Rule] = []
    if kernel_command_line and (text := read_bytes(kernel_command_line)) is not None:
        effective += kernel_options(text, kernel_command_line)
        kernel = _kernel_lists(text, kernel_command_line)
    return Config(
        rules=tuple(effective),
        bad_lines=tuple(bad_lines),
        files=tuple(file for file in files if os.path.exists(file.path)),
        masked=tuple(masked),
        kernel=tuple(kernel),
        directories_inside=tuple(_directories_inside(directories)),
    )


def parse_rules(data: bytes, path: str) -> tuple[tuple[Rule, ...], tuple[BadLine, ...]]:
    """Parse one modprobe.d file's bytes; ``path`` is only named."""
    rules = []
    bad = []
    for first, last, line in logical_lines(data):
        if not line or line.startswith(b"#"):
            continue
        word, rest = next_word(line)
        if word is None:
            continue
        source = Source(path, first)
        rule = _rule(word, rest, source)
        if rule is not None:
            rules.append(rule)
        else:
            bad.append(BadLine(source, last, os.fsdecode(word), word in _NO_LONGER_READ))
    return tuple(rules), tuple(bad)


def _rule(word: bytes, rest: bytes, source: Source) -> Rule | None:
    """Return the rule of a line, ``None`` when kmod would call it bad."""
    kind = word.decode("latin-1")
    if kind not in KINDS:
        return None
    first, rest = next_word(rest)
    name = _normal(first)
    if name is None:
        return None
    value: str | None = ""
    if kind == "alias":
        value = _normal(next_word(rest)[0])
    elif kind in _TO_THE_END:
        value = os.fsdecode(rest) or None
    if value is None:
        return None
    if kind == "options":
        value = value.replace("\t", " ")
    return Rule(kind, name, value, source)


def _normal(word: bytes | None) -> str | None:
    return None if word is None else normalize_alias(os.fsdecode(word))


def softdeps(value: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the modules named after ``pre:`` and after ``post:`` in a softdep rule's value.

    With exactly one blank before it, kmod does not recognise the first word
    (``libkmod-config.c: kmod_config_add_softdep``); neither does this.
    """
    data = os.fsencode(value)
    words = data.split()
    if data[:1].isspace() and data[1:2] and not data[1:2].isspace():
        del words[0]
    found: dict[bytes, list[str]] = {b"pre:": [], b"post:": []}
    target: list[str] | None = None
    for word in words:
        if word in found:
            target = found[word]
        elif target is not None:
            target.append(os.fsdecode(word))
    return tuple(found[b"pre:"]), tuple(found[b"post:"])


def kernel_options(text: bytes, path: str = COMMAND_LINE) -> list[Rule]:
    """Return the rules modprobe takes from a kernel command line."""
    rules = []
    source = Source(path)
    for module, parameter in command_line.module_options(text):
        blacklisted = command_line.blacklist_names(parameter) if module == b"modprobe" else None
        if blacklisted is not None:
            rules += [Rule("blacklist", os.fsdecode(name), "", source) for name in blacklisted]
        elif (name := _normal(module)) is not None:
            value = parameter.replace(b"\t", b" ")
            rules.append(Rule("options", name, os.fsdecode(value), source))
    return rules


def _kernel_lists(text: bytes, path: str) -> list[Rule]:
    return [
        Rule(key, normalize(os.fsdecode(name)), "", Source(path))
        for key in ("module_blacklist", "modules_load")
        for name in command_line.plain_lists(text, key.encode())
    ]


def _directories_inside(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path) and os.access(path, os.R_OK):
            for name in sorted(os.listdir(path)):
                if name.endswith((".conf", ".alias")) and not name.startswith("."):
                    file = f"{path}/{name}"
                    if os.path.isdir(file):
                        yield file


def read_modules_load(root: Root, kernel_command_line: str = COMMAND_LINE) -> tuple[Rule, ...]:
    """Return the modules to load at boot (kind ``load``), in systemd's order.

    Source of the format: modules-load.d(5); ``#`` and ``;`` begin comments.
    """
    directories = root.config_directories("modules-load.d")
    rules = []
    for file in find_files(directories, suffixes=(".conf",)):
        if file.masked_by or (data := read_bytes(file.path)) is None:
            continue
        for number, line in enumerate(data.splitlines(), 1):
            name = line.strip()
            if name and not name.startswith((b"#", b";")):
                rules.append(Rule("load", os.fsdecode(name), "", Source(file.path, number)))
    if kernel_command_line and (text := read_bytes(kernel_command_line)) is not None:
        listed = _kernel_lists(text, kernel_command_line)
        rules += [Rule("load", r.name, "", r.source) for r in listed if r.kind == "modules_load"]
    return tuple(rules)
