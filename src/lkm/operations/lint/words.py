"""The words of a line: names in a form no module has, words that are dropped, values refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lkm.doctor import parameter_values
from lkm.module.names import is_module_file
from lkm.operations.lint.tree import LintFinding, LintSeverity, LintTree
from lkm.tree.config import Rule

_QUOTES = "\"'`‘’“”"
_KINDS = ("blacklist", "options", "install", "remove", "softdep")


def names(tree: LintTree) -> Iterator[LintFinding]:
    """Find names written as file names, in quotes, with a path or a comma: they match nothing."""
    for kind in _KINDS:
        for rule in tree.written(kind):
            plain = plain_name(rule.name)
            if plain != rule.name:
                yield LintFinding(
                    "name-form", LintSeverity.WARNING, rule.source,
                    f"{kind} compares names letter by letter, and no module is called {rule.name}",
                    f"{kind} {plain}" if plain else "",
                )  # fmt: skip


def plain_name(name: str) -> str:
    """Return the module's name that a file name, a path or a quoted name means."""
    plain = name.strip(_QUOTES).rstrip(",;:").strip(_QUOTES)
    if "/" in plain:
        plain = plain.rstrip("/").rpartition("/")[2]
    if is_module_file(plain) or plain.endswith((".ko", ".o")):
        plain = plain.partition(".")[0]
    return plain


def dropped_words(tree: LintTree) -> Iterator[LintFinding]:
    """Find words after the name of a blacklist or an alias's module: modprobe drops them."""
    for kind, used in (("blacklist", 2), ("alias", 3)):
        for rule in tree.written(kind):
            rest = tree.words(rule.source)[used:]
            if not rest or rest[0].startswith("#"):
                continue
            words = " ".join(rest)
            hint = (
                "\n    ".join(f"blacklist {word}" for word in rest) if kind == "blacklist" else ""
            )
            yield LintFinding(
                "dropped-words", LintSeverity.WARNING, rule.source,
                f"{kind} takes one name: {words} is dropped", hint,
            )  # fmt: skip


_LONE_EQUALS = re.compile(r"(?:^|\s)=|=(?:\s|$)")


def option_words(tree: LintTree) -> Iterator[LintFinding]:
    """Find blanks round ``=`` in options, which tear a parameter from its value."""
    for rule in tree.written("options"):
        outside = re.sub(r'"[^"]*"', "", rule.value)
        if match := _LONE_EQUALS.search(outside):
            if match[0].startswith("=") and outside[match.start() - 1 : match.start()] not in (
                "",
                " ",
            ):
                continue  # "name=" alone sets an empty text
            yield LintFinding(
                "blank-in-option", LintSeverity.WARNING, rule.source,
                "a blank stands beside =: the parameter and its value are two words then",
                f"options {rule.name} {re.sub(r' *= *', '=', rule.value)}",
            )  # fmt: skip


def values(tree: LintTree) -> Iterator[LintFinding]:
    """Find values that the parameter's type does not take: the module will not load with them."""
    for rule in tree.written("options"):
        for module in sorted({found.module for found in tree.resolver.lookup(rule.name)}):
            facts = tree.facts(module)
            if facts is not None and not facts.problem and not tree.is_builtin(module):
                yield from _refused(rule, module, facts.parameters)


def _refused(rule: Rule, module: str, known: dict[str, str]) -> Iterator[LintFinding]:
    arguments, _ = parameter_values.split(rule.value)
    for argument in arguments:
        kind = next(
            (k for n, k in known.items() if parameter_values.same_name(n, argument.name)), ""
        )
        if kind and parameter_values.refusals(kind, argument.name, argument.value):
            given = argument.name if argument.value is None else f"{argument.name}={argument.value}"
            yield LintFinding(
                "bad-value", LintSeverity.ERROR, rule.source,
                f"{given}: {module} takes {_a(kind)} there, and does not load with this", "",
            )  # fmt: skip


def _a(kind: str) -> str:
    truth = "a truth value (y or n)"
    words = {"charp": "a text", "string": "a text", "bool": truth, "invbool": truth, "bint": truth}
    if kind.startswith("array of "):
        return f"values of the type {kind.removeprefix('array of ')}, with commas between,"
    return words.get(kind, f"a number ({kind})")


def load_words(rule: Rule) -> LintFinding | None:
    """Return what is wrong with a line of modules-load.d that is more than a name, if it is."""
    words = rule.name.split()
    if len(words) > 1:
        kind = (
            words[0] if words[0] in ("options", "alias", "blacklist", "install", "softdep") else ""
        )
        rest = rule.name if kind else f"options {rule.name}"
        message = (
            f"{kind} is no word of modules-load.d, which takes one module's name a line: the "
            f"line is looked up "
            "as a name, and loads nothing"
            if kind
            else "modules-load.d takes one module's name a line: the line is looked up as a "
            "name, and loads nothing"
        )
        return LintFinding(
            "load-words", LintSeverity.WARNING, rule.source, message,
            f"in a file of modprobe.d: {rest}" + ("" if kind else f"; here: {words[0]}"),
        )  # fmt: skip
    plain = plain_name(rule.name)
    if plain != rule.name:
        return LintFinding(
            "name-form", LintSeverity.WARNING, rule.source,
            f"no module is called {rule.name}", plain,
        )  # fmt: skip
    return None


# Words of other tools and times; what to write today.
_FOREIGN = {
    "allow_unsupported_modules": "a word of SUSE's modprobe: allows modules that SUSE does not "
    "support",
    "include": "kmod reads all files of modprobe.d",
    "config": "kmod reads all files of modprobe.d",
    "above": "a word of modutils; write softdep NAME post: OTHER",
    "below": "a word of modutils; write softdep NAME pre: OTHER",
    "add": "a word of modutils; write softdep, or alias",
    "probe": "a word of modutils; write install",
    "probeall": "a word of modutils; write install",
    "pre-install": "a word of modutils; write install",
    "post-install": "a word of modutils; write install",
    "pre-remove": "a word of modutils; write remove",
    "post-remove": "a word of modutils; write remove",
    "keep": "a word of modutils, without meaning today",
    "path": "a word of modutils; depmod.d has search",
    "depfile": "a word of modutils, without meaning today",
    "search": "a word of depmod.d",
    "override": "a word of depmod.d",
    "external": "a word of depmod.d",
    "exclude": "a word of depmod.d",
    "make_map_files": "a word of depmod.d",
    "hwmodalias": "no word of modprobe.d; write alias",
    "blacklists": "write blacklist",
    "black": "write blacklist",
    "denylist": "write blacklist",
    "option": "write options",
    "module_blacklist": "a word of the kernel command line; write blacklist",
    "install_mod": "write install",
    "modprobe": "a command, not a rule; modules-load.d has the names to load at boot",
    "insmod": "a command, not a rule; modules-load.d has the names to load at boot",
}


def bad_line_hint(words: list[str]) -> tuple[str, bool]:
    """Return what a line that modprobe does not understand was to be; whether it is harmless."""
    word = words[0] if words else ""
    if word.startswith("#"):
        return "a comment begins in the first column", False
    if word.startswith(("//", ";", "--")):
        return "a comment begins with #", False
    known = _FOREIGN.get(word.lower().rstrip(":"))
    if known:
        return known, word == "allow_unsupported_modules"
    if word == "options" and len(words) == 2 and "." in words[1]:
        module, _, parameter = words[1].partition(".")
        return f"options {module} {parameter}", False
    if word == "options" and len(words) < 3:
        return "options NAME PARAMETER=VALUE", False
    if word in ("install", "remove", "softdep", "alias") and len(words) < 3:
        return f"{word} NAME, and what it is to be", False
    if word.lower() in _KINDS and word != word.lower():
        return f"in small letters: {word.lower()}", False
    if len(words) == 1:
        return "modules to load at boot are named in modules-load.d", False
    return "", False
