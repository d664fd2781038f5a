"""What the page asks for. A field that is not here is refused, so that a slip is noticed."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

T = TypeVar("T")

Text = Annotated[str, Meta(max_length=4096)]
Release = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,80}$|^$")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
SourceName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")]
Parameters = Annotated[tuple[Text, ...], Meta(max_length=32)]


class Given(Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all requests."""


class GivenFile(Given):
    """A module's file, brought by the user; ``base64`` are its bytes."""

    name: FileName
    base64: str


class GivenSource(Given):
    """One C file: ``name`` is without the suffix."""

    name: SourceName
    text: str


class Subject(Given):
    """Where the module comes from; exactly one field is filled."""

    example: Annotated[str, Meta(max_length=60)] = ""
    name: Annotated[str, Meta(max_length=60)] = ""
    file: GivenFile | None = None


class DoAction(Given):
    """Something to do while the module is loaded."""

    kind: Literal["set", "read", "write", "open", "close", "unload"]
    target: Text = ""
    value: Text = ""


Actions = Annotated[tuple[DoAction, ...], Meta(max_length=64)]


class LifeRequest(Given):
    """Load a module, act on it, unload it."""

    subject: Subject = Subject(example="hello")
    kernel: Release = ""
    parameters: Parameters = ()
    actions: Actions = ()
    sig_enforce: bool = False
    lockdown: bool = False
    guard: bool = False
    trace: bool = False
    interactive: bool = False
    live: bool = False


class WayRequest(Given):
    """Make one of the known failures happen, or see where the kernel stops with a file."""

    failure: Annotated[str, Meta(max_length=60)] = ""
    subject: Subject | None = None
    kernel: Release = ""
    parameters: Parameters = ()
    sig_enforce: bool = False
    lockdown: bool = False


class MemoryRequest(Given):
    """Load a module and show where the kernel puts it."""

    subject: Subject = Subject(example="hello")
    kernel: Release = ""


class OptionRequest(Given):
    """Load a module of the tree, to see its real size and time."""

    module: Name
    kernel: Release = ""


class RulesFile(Given):
    """A configuration file that counts for the question: its path in the root, its text."""

    path: Annotated[str, Meta(pattern=r"^/(etc|run|usr/lib|lib|usr/local/lib)/modprobe\.d/"
                              r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")]  # fmt: skip
    text: str


class RulesRequest(Given):
    """Ask what a name stands for under the given configuration alone."""

    name: Annotated[str, Meta(min_length=1, max_length=400)]
    kernel: Release = ""
    files: Annotated[tuple[RulesFile, ...], Meta(max_length=32)] = ()
    command_line: Text = ""


class SigningRequest(Given):
    """Make a key, sign a module with it, flip the bit at ``flip`` (in bits; none: the middle)."""

    subject: Subject = Subject(name="dummy")
    kernel: Release = ""
    flip: Annotated[int, Meta(ge=0)] | None = None


class SecureBootRequest(Given):
    """Rehearse Secure Boot with a module, in a virtual machine."""

    subject: Subject = Subject(name="dummy")
    kernel: Release = ""


class TaintRequest(Given):
    """Cause one taint flag for real."""

    letter: Annotated[str, Meta(pattern="^[A-Z]$")]
    kernel: Release = ""


class DecodeRequest(Given):
    """A taint value in whatever form it was seen."""

    text: Text


class PlayRequest(Given):
    """Compile one C file and try the module."""

    source: GivenSource
    kernel: Release = ""
    parameters: Parameters = ()
    actions: Actions = ()
    guard: bool = False
    trace: bool = False
    fail_alloc: Annotated[str, Meta(pattern=r"^(each|[1-9][0-9]{0,5})?$")] = ""
    interactive: bool = False


class FetchRequest(Given):
    """Fetch a kernel: a release or a flavour (``amd64``)."""

    what: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,80}$")]
    headers: bool = True


class DoRequest(Given):
    """One more action in an interactive run."""

    action: DoAction


def decode(kind: type[T], body: bytes) -> T:
    """Return the request in ``body``; raises msgspec.ValidationError or DecodeError."""
    return msgspec.json.decode(body or b"{}", type=kind)
