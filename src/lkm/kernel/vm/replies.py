"""What the agent of a virtual machine may answer to each request, and what its modprobe may say.

The guest runs modules of any origin, so each message is checked in full: its size before it is
read, then the type of every value in it. Whatever is not as it must be is a ``FormatError`` that
names the guest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lkm.errors import FormatError, ToolError
from lkm.kernel.guest import wire
from lkm.kernel.guest.interface import REQUEST, RESULTS

MOST_TEXT = 8 << 20
"""Bytes of JSON in one message; its values take up to twenty times as much memory."""

MOST_BYTES = 64 << 20
"""Bytes in the block of one message: the content of a file is one."""

_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Signed = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Unsigned = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
_Descriptor = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
_Errno = Annotated[int, Meta(ge=0, le=4095)]
_Signal = Annotated[int, Meta(ge=0, le=64)]
_ExitStatus = Annotated[int, Meta(ge=0, le=255)]
_Text = Annotated[str, Meta(max_length=1 << 16)]
_Word = Annotated[str, Meta(max_length=4096)]
_Outcome = tuple[_Signed, _Errno, _Signal]
_Status = tuple[_Unsigned, _Signed, _Unsigned, _Unsigned, tuple[_Unsigned, _Unsigned], _Signed]

_REPLIES: dict[str, Any] = {
    "ping": _Count,
    "put": None,
    "missing": list[_Word],
    "spawn": _Descriptor,
    "exchange": tuple[bytes, bytes, _ExitStatus | None],
    "for_each": list[dict[str, Any]],
    "signal": None,
    "open": _Descriptor,
    "close": None,
    "read": bytes,
    "read_records": list[bytes],
    "read_file": bytes,
    "write": _Count,
    "lseek": _Count,
    "ioctl": bytes,
    "stat": _Status,
    "readdir": list[_Word],
    "readlink": _Word,
    "mkdir": None,
    "unlink": None,
    "mount": None,
    "umount": None,
    "socket": _Descriptor,
    "bind": None,
    "syslog": bytes,
    "read_in_task": tuple[bytes, _Count, bool, bool, _Errno, _Signal],
    "write_in_task": _Outcome,
    "init_module": _Outcome,
    "finit_module": _Outcome,
    "delete_module": _Outcome,
}
"""The type of the value that each request gives; an unknown request is our own mistake."""


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    value: Any = msgspec.UNSET
    errno: _Errno | None = None
    file: _Text = ""
    failure: _Text | None = None


def receive(read_exactly: Callable[[int], bytes], guest: str) -> Any:
    """Read a message of a guest within its limits of size; FormatError names the guest."""
    return wire.receive(read_exactly, path=guest, most_text=MOST_TEXT, most_bytes=MOST_BYTES)


def value_of(call: str, answer: Any, guest: str) -> Any:
    """Return what an answer of the agent carries, of the type that ``call`` gives.

    Raises what it tells of: OSError with the guest's errno, ToolError for a failure of the agent;
    and FormatError for anything that is no answer to ``call``.
    """
    told = _checked(answer, _Answer, f"an answer to {call}", guest)
    if told.value is not msgspec.UNSET:
        return _checked(told.value, _REPLIES[call], f"an answer to {call}", guest)
    if told.failure is not None:
        raise ToolError(f"the agent of {guest} failed in {call}", output=told.failure)
    if told.errno is None:
        raise FormatError(f"an answer to {call}", "an empty one", path=guest)
    raise OSError(told.errno, os.strerror(told.errno), told.file or None)


def modprobe_message(message: Any, guest: str) -> tuple[list[str], int, list[tuple[str, int]]]:
    """Return what the guest's modprobe says: the words of a request, or the results of one.

    That is ``(ARGV, -1, [])`` or ``([], NUMBER, RESULTS)``.
    """
    what = "a request for a module or its results"
    if isinstance(message, list) and message[:1] == [REQUEST]:
        _, argv = _checked(message, tuple[str, list[_Text]], what, guest)
        return argv, -1, []
    if isinstance(message, list) and message[:1] == [RESULTS]:
        form = tuple[str, _Descriptor, list[tuple[_Word, _Signed]]]
        _, number, results = _checked(message, form, what, guest)
        return [], number, results
    raise FormatError(what, _shown(message), path=guest)


def _checked(value: Any, form: Any, what: str, guest: str) -> Any:
    try:
        return msgspec.convert(value, form, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
        reason = ascii(str(error))[1:-1]  # it may hold a word of the guest's
        raise FormatError(what, f"{_shown(value)} ({reason[:200]})", path=guest) from None


def _shown(value: Any) -> str:
    """Return the beginning of a value that may be of any size and depth."""
    if isinstance(value, (list, dict)):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value[:40] if isinstance(value, (str, bytes)) else value)[:60]


def same_length(results: Sequence[Any], asked: Sequence[Any], guest: str) -> None:
    """Raise FormatError when a guest did not answer as many times as it was asked."""
    if len(results) != len(asked):
        raise FormatError(f"{len(asked)} answers", str(len(results)), path=guest)
