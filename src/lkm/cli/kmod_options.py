"""The options of the kmod tools: tables, getopt_long's rules, help and completion.

Each tool has one ``Tool`` table in its command file; parsing, ``--help``, ``lkm help`` and shell
completion are all made from it. click is not used, for it knows neither abbreviated long options
nor getopt's messages, and costs 25 ms.
"""

from __future__ import annotations

import os
import sys

from lkm.cli import examples
from lkm.errors import UsageError
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HELP_COLUMN = 28


class Option(Record):
    """One option: its letter, its long names, the name of its argument, its help.

    ``long`` holds alternatives separated by spaces, the preferred one first; ``argument`` is empty
    for a plain switch. An ``own`` option is lkm's, not kmod's: its name must be given in full, so
    that kmod's own names can be abbreviated as far as ever.
    """

    short: str = ""
    long: str = ""
    argument: str = ""
    help: str = ""
    own: bool = False

    @property
    def key(self) -> str:
        """How a program calls it: the preferred long name, or else the letter."""
        return self.names[0] if self.long else self.short

    @property
    def names(self) -> list[str]:
        """The long names."""
        return self.long.split()


VERSION = Option("V", "version", help="Show the version")
HELP = Option("h", "help", help="Show this help")
JSON = Option("", "json", help="Print JSON", own=True)


class Tool(Record):
    """One kmod tool: its name, what follows it on the command line, its options.

    ``operands`` says what shell completion offers: ``module`` (names), ``file`` or nothing.
    """

    name: str
    usage: tuple[str, ...]
    options: tuple[Option, ...]
    description: str = ""
    operands: str = "module"


class Parsed(Record):
    """A command line taken apart: ``(key, argument)`` in the order given, and the rest."""

    options: tuple[tuple[str, str], ...]
    operands: tuple[str, ...]

    def has(self, key: str) -> bool:
        """Whether the option was given."""
        return any(name == key for name, _ in self.options)

    def last(self, key: str) -> str | None:
        """Return the argument of the last ``key``, ``None`` when it was not given."""
        values = self.all(key)
        return values[-1] if values else None

    def all(self, key: str) -> tuple[str, ...]:
        """Return the arguments of every ``key``, in order."""
        return tuple(argument for name, argument in self.options if name == key)


class OptionError(UsageError):
    """A command line getopt_long would refuse; the message is getopt's."""


def parse(tool: Tool, arguments: Sequence[str]) -> Parsed:
    """Take ``arguments`` apart as glibc's getopt_long does.

    Options may follow operands (not with POSIXLY_CORRECT set), ``--`` ends them, long names may be
    abbreviated. Raises ``OptionError``.
    """
    options: list[tuple[str, str]] = []
    operands: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            break
        if word.startswith("--"):
            options.append(_long(tool, word[2:], rest))
        elif word.startswith("-") and word != "-":
            options += _cluster(tool, word[1:], rest)
        else:
            operands.append(word)
            if "POSIXLY_CORRECT" in os.environ:
                operands += rest
                break
    return Parsed(tuple(options), tuple(operands))


def _cluster(tool: Tool, letters: str, rest: list[str]) -> Iterator[tuple[str, str]]:
    known = {option.short: option for option in tool.options if option.short}
    for place, letter in enumerate(letters):
        option = known.get(letter)
        if option is None:
            raise OptionError(f"{tool.name}: invalid option -- '{letter}'")
        if not option.argument:
            yield option.key, ""
            continue
        argument = letters[place + 1 :]
        if not argument:
            if not rest:
                raise OptionError(f"{tool.name}: option requires an argument -- '{letter}'")
            argument = rest.pop(0)
        yield option.key, argument
        return


def _long(tool: Tool, word: str, rest: list[str]) -> tuple[str, str]:
    given, equals, argument = word.partition("=")
    name, option = _find_long(tool, given, word)
    if not option.argument:
        if equals:
            raise OptionError(f"{tool.name}: option '--{name}' doesn't allow an argument")
        return option.key, ""
    if not equals:
        if not rest:
            raise OptionError(f"{tool.name}: option '--{name}' requires an argument")
        argument = rest.pop(0)
    return option.key, argument


def _find_long(tool: Tool, given: str, word: str) -> tuple[str, Option]:
    named = [(name, option) for option in tool.options for name in option.names]
    for name, option in named:
        if name == given:
            return name, option
    close = [(n, option) for n, option in named if n.startswith(given) and not option.own]
    if not close:
        raise OptionError(f"{tool.name}: unrecognized option '--{word}'")
    if any(option is not close[0][1] for _, option in close):
        possibilities = " ".join(f"'--{name}'" for name, _ in close)
        raise OptionError(
            f"{tool.name}: option '--{word}' is ambiguous; possibilities: {possibilities}"
        )
    return close[0]


def run(tool: Tool, arguments: Sequence[str], body: Callable[[Parsed], int]) -> int:
    """Parse, answer ``--help`` and ``--version``, else call ``body``; return the exit status.

    A wrong command line is getopt's message and status 1, as kmod has it.
    """
    try:
        parsed = parse(tool, arguments)
    except OptionError as error:
        print(error, file=sys.stderr)
        return 1
    for key, _ in parsed.options:
        if key == HELP.key:
            sys.stdout.write(help_text(tool))
            return 0
        if key == VERSION.key:
            from lkm import __version__

            print(f"lkm version {__version__}")
            return 0
    return body(parsed)


def help_text(tool: Tool) -> str:
    """Return what ``--help`` prints."""
    lines = ["Usage:", *(f"\t{tool.name} {usage}" for usage in tool.usage)]
    if tool.description:
        lines += ["", tool.description, ""]
    lines.append("Options:")
    lines += [f"\t{spelling(option):<{_HELP_COLUMN}}{option.help}" for option in tool.options]
    if shown := examples.text(tool.name):
        lines += ["", shown]
    return "\n".join(lines) + "\n"


def spelling(option: Option) -> str:
    """Return how the option is written, ``-F, --field=FIELD``."""
    short = f"-{option.short}" if option.short else ""
    long = ", ".join(f"--{name}" for name in option.names)
    text = ", ".join(part for part in (short, long) if part)
    if not option.argument:
        return text if short else f"    {text}"
    joined = f"{text}={option.argument}" if long else f"{text} {option.argument}"
    return joined if short else f"    {joined}"
