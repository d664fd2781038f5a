"""Output shared by the commands: JSON documents and a line of progress."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from lkm.cli.text import inert


def print_json(verb: str, **content: Any) -> None:
    """Print one JSON document: its schema ``lkm.VERB/1``, then ``content``.

    Dataclasses become objects, tuples and sets arrays, paths strings, bytes hexadecimal.
    """
    sys.stdout.write(json_text({"schema": f"lkm.{verb}/1", **content}, indent=2) + "\n")


def json_text(document: dict[str, Any], indent: int = 0) -> str:
    """Return a document as JSON, on one line unless indented; what is not printable is escaped."""
    import msgspec  # costs start-up time, which text output need not pay

    builtins = msgspec.to_builtins(document, enc_hook=plain, str_keys=True, builtin_types=(bytes,))
    encoded = msgspec.json.encode(_texts(builtins))
    return inert((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())


def plain(value: Any) -> Any:
    """Return what msgspec is to encode in place of a value it does not know (a path)."""
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _texts(value: Any) -> Any:
    """Return ``value`` with bytes as hexadecimal, and strings without what is no Unicode."""
    if isinstance(value, dict):
        return {_texts(key): _texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value


class ProgressLine:
    """One line on a terminal's standard error that is overwritten; silent elsewhere.

    Call it with what is being done, and how much of how much is done.
    """

    def __init__(self, unit: str = "MB", scale: int = 1_000_000) -> None:
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "dumb")
        self._unit = unit
        self._scale = scale
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show the progress, at most ten times a second."""
        now = time.monotonic()
        if not self._shown or (now < self._next and done != total):
            return
        self._next = now + 0.1
        share = f"{done // self._scale}/{total // self._scale} {self._unit}" if total else ""
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        sys.stderr.write(f"\r\x1b[K{f'{what} {share}'[: columns - 1]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line for what is printed next."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
