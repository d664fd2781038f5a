"""Module options on the kernel command line: ``usbcore.quirks=…``, ``modprobe.blacklist=a,b``.

Source of the format: kmod's ``libkmod-config.c: kmod_config_parse_kcmdline``; for
``module_blacklist=`` the kernel's ``kernel/module/main.c: blacklisted``; for ``modules_load=``
systemd's ``modules-load.c``.
"""

from __future__ import annotations

from collections.abc import Iterator

KMOD_READS = 4095  # bytes; kmod's buffer is a page
_BLANKS = frozenset(b" \n\t\v\f\r")
_QUOTE, _DOT, _EQUALS = b'".='


class _Scanner:
    """kmod's state machine; quirks included, since they decide what modprobe does at boot."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._restart(0)

    def _restart(self, position: int) -> None:
        self._state = "module"
        self._start = position
        self._quote_first = False
        self._dot = self._equals = -1

    def options(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each module name and its ``parameter[=value]``."""
        quoted = False
        for position, byte in enumerate(self._text + b" "):
            if byte == _QUOTE:
                quoted = not quoted
                self._see_quote(position, quoted)
            elif byte in _BLANKS:
                if not quoted:
                    if self._state in ("value", "parameter"):
                        yield self._result(position)
                    self._restart(position + 1)
                elif self._state != "value":
                    self._state = "ignore"
            elif byte == _DOT:
                self._see_dot(position)
            elif byte == _EQUALS:
                self._see_equals(position)

    def _see_quote(self, position: int, opens: bool) -> None:
        if opens and self._state == "module" and position == self._start:
            self._quote_first = True
            self._start = position + 1
        elif self._state != "value":
            self._state = "ignore"

    def _see_dot(self, position: int) -> None:
        if self._state == "module":
            self._dot = position
            self._state = "parameter"
        elif self._state == "parameter":
            self._state = "ignore"

    def _see_equals(self, position: int) -> None:
        if self._state == "parameter":
            self._equals = position
            self._state = "value"
        elif self._state == "module":
            self._state = "ignore"

    def _result(self, end: int) -> tuple[bytes, bytes]:
        module = self._text[self._start : self._dot]
        parameter = self._text[self._dot + 1 : end]
        if self._quote_first:
            # A boot loader moved the quote to the front; it belongs before the value.
            name = self._text[self._dot + 1 : self._equals]
            parameter = name + b'="' + self._text[self._equals + 1 : end]
        return module, parameter


def module_options(text: bytes) -> list[tuple[bytes, bytes]]:
    """Return ``(module, parameter[=value])`` for each option with a dot, in order."""
    return list(_Scanner(text[:KMOD_READS].partition(b"\0")[0]).options())


def blacklist_names(parameter: bytes) -> list[bytes] | None:
    """Return the modules of ``blacklist=a,b`` (of the module ``modprobe``), else ``None``."""
    name, equals, value = parameter.partition(b"=")
    return value.split(b",") if equals and name == b"blacklist" else None


def plain_lists(text: bytes, key: bytes) -> list[bytes]:
    """Return the comma-separated values of every ``KEY=…`` (``module_blacklist``)."""
    words = [word.strip(b'"') for word in text.split()]
    values = [word[len(key) + 1 :] for word in words if word.startswith(key + b"=")]
    return [name for value in values for name in value.split(b",") if name]
