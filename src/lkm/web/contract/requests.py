"""What the page asks for. A field that is not here is refused, so that a slip is noticed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

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


class GivenFile(Given, frozen=True):
    """A module's file, brought by the user; ``base64`` are its bytes."""

    name: FileName
    base64: str


class GivenSource(Given, frozen=True):
    """One C file: ``name`` is without the suffix."""

    name: SourceName
    text: str


class Subject(Given, frozen=True):
    """Where the module comes from; exactly one field is filled."""

    example: Annotated[str, Meta(max_length=60)] = ""
    name: Annotated[str, Meta(max_length=60)] = ""
    file: GivenFile | None = None


class DoAction(Given, frozen=True):
    """Something to do while the module is loaded."""

    kind: Literal["set", "read", "write", "open", "close", "unload"]
    target: Text = ""
    value: Text = ""


Actions = Annotated[tuple[DoAction, ...], Meta(max_length=64)]


class LifeRequest(Given, frozen=True):
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


class WayRequest(Given, frozen=True):
    """Make one of the known failures happen, or see where the kernel stops with a file."""

    failure: Annotated[str, Meta(max_length=60)] = ""
    subject: Subject | None = None
    kernel: Release = ""
    parameters: Parameters = ()
    sig_enforce: bool = False
    lockdown: bool = False


class MemoryRequest(Given, frozen=True):
    """Load a module and show where the kernel puts it."""

    subject: Subject = Subject(example="hello")
    kernel: Release = ""


class OptionRequest(Given, frozen=True):
    """Load a module of the tree, to see its real size and time."""

    module: Name
    kernel: Release = ""


class RulesFile(Given, frozen=True):
    """A configuration file that counts for the question: its path in the root, its text."""

    path: Annotated[str, Meta(pattern=r"^/(etc|run|usr/lib|lib|usr/local/lib)/modprobe\.d/"
                              r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")]  # fmt: skip
    text: str


class RulesRequest(Given, frozen=True):
    """Ask what a name stands for under the given configuration alone."""

    name: Annotated[str, Meta(min_length=1, max_length=400)]
    kernel: Release = ""
    files: Annotated[tuple[RulesFile, ...], Meta(max_length=32)] = ()
    command_line: Text = ""


class SigningRequest(Given, frozen=True):
    """Make a key, sign a module with it, flip the bit at ``flip`` (in bits; none: the middle)."""

    subject: Subject = Subject(name="dummy")
    kernel: Release = ""
    flip: Annotated[int, Meta(ge=0)] | None = None


class SecureBootRequest(Given, frozen=True):
    """Rehearse Secure Boot with a module, in a virtual machine.

    ``mokmanager`` enrols the key through MokManager's real screens, which takes longer.
    """

    subject: Subject = Subject(name="dummy")
    kernel: Release = ""
    mokmanager: bool = False


class TaintRequest(Given, frozen=True):
    """Cause one taint flag for real."""

    letter: Annotated[str, Meta(pattern="^[A-Z]$")]
    kernel: Release = ""


class DecodeRequest(Given, frozen=True):
    """A taint value in whatever form it was seen."""

    text: Text


class PlayRequest(Given, frozen=True):
    """Compile one C file and try the module."""

    source: GivenSource
    kernel: Release = ""
    parameters: Parameters = ()
    actions: Actions = ()
    guard: bool = False
    trace: bool = False
    fail_alloc: Annotated[str, Meta(pattern=r"^(each|[1-9][0-9]{0,5})?$")] = ""
    interactive: bool = False


class FetchRequest(Given, frozen=True):
    """Fetch a kernel: a release or a flavour (``amd64``)."""

    what: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,80}$")]
    headers: bool = True


class DoRequest(Given, frozen=True):
    """One more action in an interactive run."""

    action: DoAction


class NoQuestion(Given, frozen=True):
    """Nothing is asked but the route itself."""


class KernelQuestion(Given, frozen=True):
    """Something about a kernel."""

    kernel: Release = ""


class MemoryQuestion(Given, frozen=True):
    """Which module's memory: a name of the tree, or ``example:NAME``."""

    module: Annotated[str, Meta(max_length=60)]
    kernel: Release = ""


class OptionsQuestion(Given, frozen=True):
    """Which options: those whose name, or a module of theirs, has the text."""

    search: Annotated[str, Meta(max_length=60)] = ""
    kernel: Release = ""


class OptionQuestion(Given, frozen=True):
    """One option, with or without ``CONFIG_``."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,80}$")]
    kernel: Release = ""


class BootQuestion(Given, frozen=True):
    """How a kernel comes to its root file system."""

    kernel: Release = ""
    initramfs: bool = True


class NeedsQuestion(Given, frozen=True):
    """What a module needs."""

    module: Annotated[str, Meta(min_length=1, max_length=200)]
    kernel: Release = ""


class EdgeQuestion(Given, frozen=True):
    """For which symbols a module needs another."""

    module: Name
    needs: Name
    kernel: Release = ""


class RecordingQuestion(Given, frozen=True):
    """One recording."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,80}$")]


def decode(kind: type[T], body: dict[str, Any], *, texts: bool = False) -> T:
    """Return the request in ``body``; raises msgspec.ValidationError.

    ``texts``: every value is a string, as in an address's query.
    """
    return msgspec.convert(body, type=kind, strict=not texts)
