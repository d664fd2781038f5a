"""Find what does not do what its author thinks, in modprobe.d and modules-load.d."""

from __future__ import annotations

import os
from collections.abc import Iterator

from lkm.operations.lint import initramfs, words
from lkm.operations.lint.rules import CHECKS
from lkm.operations.lint.tree import LintFinding, LintSeverity, LintTree
from lkm.tree.config import COMMAND_LINE, Rule, read_modules_load
from lkm.tree.config_files import MODPROBE_SUFFIXES, Source, read_bytes
from lkm.tree.module_files import module_files
from lkm.tree.resolver import Resolver


def lint(resolver: Resolver, kernel_command_line: str = COMMAND_LINE) -> tuple[LintFinding, ...]:
    """Check a root's configuration against its modules; findings in the order of their places."""
    tree = LintTree(resolver)
    loads = read_modules_load(resolver.root, kernel_command_line)
    findings = [
        *_bad_lines(tree),
        *_masked_files(tree),
        *_files_not_read(tree),
        *_carriage_returns(tree),
        *(finding for check in CHECKS for finding in check(tree)),
        *_loads(tree, loads),
        *_index(tree),
        *initramfs.stale(tree),
    ]
    return tuple(sorted(set(findings), key=lambda f: (f.source, f.code, f.message)))


def _bad_lines(tree: LintTree) -> Iterator[LintFinding]:
    for bad in tree.config.bad_lines:
        hint, harmless = words.bad_line_hint(tree.words(bad.source))
        if bad.deprecated:
            message = f"{bad.word!r} is not read any more"
        else:
            message = f"modprobe does not understand this line, which begins with {bad.word!r}"
        severity = LintSeverity.NOTE if harmless else LintSeverity.ERROR
        yield LintFinding("bad-line", severity, bad.source, message, hint)


def _masked_files(tree: LintTree) -> Iterator[LintFinding]:
    for file in tree.config.files:
        if not file.masked_by:
            continue
        masking = read_bytes(file.masked_by) or b""
        if not masking.strip():
            message = f"is switched off by the empty {file.masked_by}"
            severity = LintSeverity.NOTE
        elif masking == read_bytes(file.path):
            message, severity = (
                f"is hidden by {file.masked_by}, which is the same",
                LintSeverity.NOTE,
            )
        else:
            message = f"is not read: {file.masked_by} hides it"
            severity = LintSeverity.WARNING
        yield LintFinding(
            "masked-file", severity, Source(file.path), message,
            "give one of them another name if both shall count",
        )  # fmt: skip


def _files_not_read(tree: LintTree) -> Iterator[LintFinding]:
    for folder in tree.resolver.root.config_directories("modprobe.d"):
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if not name.startswith(".") and not name.endswith(MODPROBE_SUFFIXES):
                yield LintFinding(
                    "not-read", LintSeverity.WARNING, Source(f"{folder}/{name}"),
                    "is not read: its name does not end in .conf", "rename it, or remove it",
                )  # fmt: skip


def _carriage_returns(tree: LintTree) -> Iterator[LintFinding]:
    for file in tree.config.files:
        lines = (read_bytes(file.path) or b"").split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\r"):
                yield LintFinding(
                    "carriage-return", LintSeverity.ERROR, Source(file.path, number),
                    "ends in a carriage return, which becomes part of the last word",
                    f"sed -i 's/\\r$//' {file.path}",
                )  # fmt: skip
                break


def _loads(tree: LintTree, loads: tuple[Rule, ...]) -> Iterator[LintFinding]:
    for rule in loads:
        if told := words.load_words(rule):
            yield told
            continue
        found = tree.resolver.lookup(rule.name)
        if not tree.is_known(rule.name):
            message = f"{rule.name} is no module of {tree.resolver.root.release}"
            yield LintFinding("unknown-module", LintSeverity.WARNING, rule.source, message)
        for candidate in found:
            blacklist = tree.resolver.blacklist_rule(candidate.module)
            if blacklist:
                message = f"{rule.name} is not loaded at boot: {blacklist.source} blacklists it"
                yield LintFinding("load-blacklisted", LintSeverity.WARNING, rule.source, message)


def _index(tree: LintTree) -> Iterator[LintFinding]:
    """Find modules that depmod has not seen, and files that are gone since it ran."""
    directory = tree.resolver.directory
    source = Source(f"{directory}/modules.dep")
    lines = [value.value for _, value in tree.resolver.indexes.items("modules.dep")]
    indexed = {os.path.join(directory, line.partition(":")[0]) for line in lines}
    there = {entry.path for entry in module_files(directory)}
    new = sorted(there - indexed)
    gone = sorted(path for path in indexed - there if not os.path.exists(path))
    hint = f"depmod {tree.resolver.root.release}"
    for code, paths, what in (
        ("not-indexed", new, "does not know"),
        ("missing-file", gone, "names, though it is gone,"),
    ):
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            message = f"the index {what} {paths[0]}{more}"
            yield LintFinding(code, LintSeverity.WARNING, source, message, hint)
