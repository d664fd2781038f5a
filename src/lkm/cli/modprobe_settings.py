"""modprobe's options, turned into typed values once."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lkm.cli.kmod_log import Priority
from lkm.cli.kmod_options import Parsed


@dataclass(frozen=True, slots=True)
class Settings:
    """The options' values, typed.

    ``names`` are the operands; without ``all`` only the first is a module and ``parameters`` is
    made of the rest. ``where`` names the kernel. ``wait`` is in milliseconds, ``None`` when it
    was no number. ``environment`` is what commands that modprobe runs are given to pass its
    options on.
    """

    names: tuple[str, ...]
    parameters: str
    where: str | None
    remove: bool
    all: bool
    remove_holders: bool
    wait: int | None
    resolve_only: bool
    first_time: bool
    ignore_commands: bool
    use_blacklist: bool
    force_modversion: bool
    force_vermagic: bool
    force: bool
    show_depends: bool
    dry_run: bool
    verbosity: int
    config_paths: tuple[str, ...]
    directory: str | None
    release: str | None
    syslog: bool
    as_json: bool
    environment: dict[str, str]

    @property
    def threshold(self) -> int:
        """The least important priority of messages that are shown."""
        return self.verbosity

    @property
    def changes(self) -> bool:
        """Whether a kernel is needed: to be changed, or to ask another than this one."""
        if self.show_depends or self.resolve_only:
            return False
        return self.remove or not self.dry_run or self.where is not None

    @property
    def shows(self) -> bool:
        """Whether each step is printed."""
        return self.show_depends or self.verbosity > Priority.WARNING


def settings_of(parsed: Parsed) -> Settings:
    """Return the settings of a command line."""
    force = parsed.has("force")
    return Settings(
        names=parsed.operands,
        where=parsed.last("kernel"),
        remove=parsed.has("remove"),
        parameters=parameter_string(parsed.operands[1:]),
        all=parsed.has("all"),
        remove_holders=parsed.has("remove-holders"),
        wait=_milliseconds(parsed.last("wait")),
        resolve_only=parsed.has("resolve-alias"),
        first_time=parsed.has("first-time"),
        ignore_commands=parsed.has("ignore-install"),
        use_blacklist=parsed.has("use-blacklist"),
        force_modversion=force or parsed.has("force-modversion"),
        force_vermagic=force or parsed.has("force-vermagic"),
        force=force,
        show_depends=parsed.has("show-depends"),
        dry_run=parsed.has("dry-run") or parsed.has("show-depends"),
        verbosity=_verbosity(parsed),
        config_paths=parsed.all("config"),
        directory=parsed.last("dirname"),
        release=parsed.last("set-version"),
        syslog=parsed.has("syslog"),
        as_json=parsed.has("json"),
        environment=_environment(parsed),
    )


def _milliseconds(text: str | None) -> int | None:
    try:
        return int(text, 0) if text is not None else 0
    except ValueError:
        return None


def _verbosity(parsed: Parsed) -> int:
    """-q silences, each -v adds one level to what was before it."""
    level = Priority.WARNING
    for key, _ in parsed.options:
        if key == "quiet":
            level = Priority.SILENT
        elif key == "verbose":
            level += 1
    return level


_PASSED_ON = {"config": "-C", "syslog": "-s", "quiet": "-q", "verbose": "-v"}


def _environment(parsed: Parsed) -> dict[str, str]:
    words = [os.environ["MODPROBE_OPTIONS"]] if "MODPROBE_OPTIONS" in os.environ else []
    for key, argument in parsed.options:
        if key in _PASSED_ON:
            words += [_PASSED_ON[key], argument] if argument else [_PASSED_ON[key]]
    return {"MODPROBE_OPTIONS": " ".join(words)} if words else {}


def parameter_string(arguments: tuple[str, ...]) -> str:
    """Join parameters, quoting values that hold blanks (kmod's ``options_from_array``)."""
    return " ".join(_quoted(argument) for argument in arguments)


def _quoted(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if " " in value and not value.startswith(('"', "'")):
        return f'{name}{equals}"{value}"'
    return argument


def split_words(text: str) -> list[str]:
    """Split MODPROBE_OPTIONS at blanks outside quotes (kmod's ``prepend_options_from_env``).

    Two blanks in a row, and one after a quoted word, make an empty word there; so they do here.
    """
    words: list[str] = []
    word = quote = inside = ""
    for character in text:
        if quote and character == quote:
            if word:
                word += inside
            else:
                words.append(inside)
            quote = inside = ""
        elif quote:
            inside += character
        elif character == " ":
            words.append(word)
            word = ""
        elif character in "\"'":
            quote = character
        else:
            word += character
    rest = word + quote + inside
    return [*words, rest] if rest else words
