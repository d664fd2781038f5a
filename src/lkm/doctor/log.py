"""A log, or the pasted error of a tool → which of the many causes it was.

The kernel's own lines name one cause each. The tools' lines (insmod, modprobe, rmmod, dkms, make)
stand for several: they count only for a module of which nothing more telling was said.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from lkm.doctor import lines
from lkm.doctor.distributions import (
    UNKNOWN_HOST,
    Distribution,
    HostIdentity,
    Recogniser,
    adapted,
)
from lkm.doctor.finding import Evidence, Finding, Severity
from lkm.doctor.lines import LogLine
from lkm.doctor.rules.rule import LONGEST, LogRule

MAX_EXPLANATIONS = 400
"""Of more causes in one log the first are kept, and the last of the tools'."""
_SEEN = 20_000
_CONTEXT = 400
_NEAR = 60
_QUOTED = 6


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line of the log (counted from 1) and the cause it shows."""

    line: int
    text: str
    finding: Finding
    general: bool = False


@dataclass(frozen=True, slots=True)
class LogReading:
    """What a log shows: causes, the machine it is of, and lines that look like unknown errors."""

    explanations: tuple[Explanation, ...]
    host: HostIdentity = UNKNOWN_HOST
    unexplained: tuple[tuple[int, str], ...] = ()


def explain(
    log: str | Iterable[str], rules: Sequence[LogRule], known: Sequence[Distribution] = ()
) -> tuple[Explanation, ...]:
    """Return what ``log`` shows, fatal causes first, else in the log's order; each cause once."""
    return read(log, rules, known).explanations


def read(
    log: str | Iterable[str], rules: Sequence[LogRule], known: Sequence[Distribution] = ()
) -> LogReading:
    """Read ``log``, a text or its lines, once; memory is bounded whatever its length.

    Fixes are in the words of the distribution of ``known`` that the log tells of.
    """
    reader = _Reader(rules, known)
    for line in lines.read(log):
        reader.take(line)
    return reader.reading()


@dataclass(slots=True)
class _Reader:
    """What has been read so far."""

    rules: Sequence[LogRule]
    known: Sequence[Distribution]
    found: list[Explanation] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    before: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_CONTEXT))
    # Tools' lines, whose module the lines around them may tell more of.
    beside: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    waiting: deque[tuple[int, str, int]] = field(default_factory=lambda: deque(maxlen=8))
    unexplained: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=12))
    listing: tuple[int, int] | None = None
    host: Recogniser = field(init=False)

    def __post_init__(self) -> None:
        self.host = Recogniser(self.known)

    def take(self, line: LogLine) -> None:
        text = line.text.strip()[:LONGEST]
        if not text:
            return
        self.host.read(text)
        if self._goes_on(text):
            return
        if text in self.seen:
            return
        if len(self.seen) < _SEEN:
            self.seen.add(text)
        for explanation in self._explained(line.number, text):
            self._keep(explanation)
            return
        self._unexplained(line.number, text)

    def _explained(self, number: int, text: str) -> Iterator[Explanation]:
        lowered = text.lower()
        for each in self.rules:
            if each.needle in lowered and (match := each.pattern.search(text)):
                yield Explanation(number, text, each.explain(match), each.general)

    def _keep(self, explanation: Explanation) -> None:
        self.host.read_bare(explanation.text)
        if len(self.found) >= MAX_EXPLANATIONS:
            if not explanation.general:
                return
            self.found.pop()
        self.found.append(explanation)
        module = explanation.finding.module
        if explanation.finding.name == "signature-unsigned" and explanation.text.endswith(
            (":", "VirtualBox")
        ):
            self.listing = (len(self.found) - 1, explanation.line)
        if explanation.general and module:
            told = [each for each in self.before if mentions(each[1], module)]
            self.beside[explanation.line] = told[-_QUOTED:]
            self.waiting.append((explanation.line, module, explanation.line + _NEAR))
        elif module:
            self.before.append((explanation.line, explanation.text))

    def _goes_on(self, text: str) -> bool:
        """Whether this line is the list that the one before announced: the modules to be signed."""
        if self.listing is None:
            return False
        place, _ = self.listing
        self.listing = None
        words = text.split()
        if not words or not all(re.fullmatch(r"\w{2,64}", word) for word in words):
            return False
        each = self.found[place]
        cause = each.finding.cause
        finding = replace(each.finding, module=words[0], subject=text)
        if "the modules " in cause:
            start, _, rest = cause.partition("the modules ")
            finding = replace(
                finding,
                cause=f"{start}the modules {', '.join(words)} are{rest.partition(' are')[2]}",
            )
        self.found[place] = replace(each, finding=finding)
        return True

    def _unexplained(self, number: int, text: str) -> None:
        self.before.append((number, text))
        for line, module, until in self.waiting:
            if number <= until and len(self.beside[line]) < _QUOTED and mentions(text, module):
                self.beside[line].append((number, text))
        if _LOOKS_BAD.search(text[:300]) and not _LOOKS_FINE.search(text[:300]):
            self.unexplained.append((number, text))

    def reading(self) -> LogReading:
        host = self.host.host()
        named = _once(_with_module(self.found))
        quoted = [self._with_context(each) for each in named]
        final = _ranked(_without_echoes(quoted))
        spoken = tuple(replace(e, finding=adapted(e.finding, host)) for e in final)
        return LogReading(spoken, host, tuple(self.unexplained))

    def _with_context(self, each: Explanation) -> Explanation:
        told = self.beside.get(each.line, []) if each.general else []
        if not told:
            return each
        more = [Evidence("beside it", text, f"line {number}") for number, text in told]
        return replace(each, finding=each.finding.with_evidence(*more))


_LOOKS_BAD = re.compile(
    r"\b(?:error|failed|failure|fatal|cannot|could not|unable "
    r"to|refused|rejected|denied|invalid|not found|"
    r"not permitted|unknown symbol|no such)\b",
    re.IGNORECASE,
)
_LOOKS_FINE = re.compile(
    r"(?:0 errors|no error|error-correct|errors=remount|error(?:s)? 0\b)", re.IGNORECASE
)

# Modules whose lines begin with something else than their name.
_VOICES = {
    "nvidia": ("NVRM:", "nvidia-"),
    "kvm_intel": ("kvm",),
    "kvm_amd": ("kvm",),
    "zfs": ("ZFS:", "SPL:"),
    "vboxdrv": ("VBox", "vboxdrv"),
    "amdgpu": ("[drm", "amdgpu"),
    "i915": ("[drm", "i915"),
    "nouveau": ("[drm", "nouveau"),
    "usb_storage": ("usb-storage",),
    "bluetooth": ("Bluetooth:",),
    "btusb": ("Bluetooth:",),
    "xfs": ("XFS ",),
    "btrfs": ("BTRFS",),
    "bcmwl": ("wl ",),
    "wl": ("wl ", "wl_"),
    "vmmon": ("/dev/vmmon",),
    "snd_hda_intel": ("snd_hda", "hdaudio"),
}


def mentions(text: str, module: str) -> bool:
    """Whether a line is about ``module``: it names it, or speaks with its driver's voice."""
    name = module.replace("-", "_")
    start = text[: len(name) + 1].replace("-", "_")
    if start[:-1] == name and not (start[-1:].isalnum() or start[-1:] == "_"):
        return True
    if text.startswith(_VOICES.get(name, ("\0",))):
        return True
    return f"[{module}]" in text or f"'{module}'" in text or f"module {module}" in text


def _with_module(found: Sequence[Explanation]) -> list[Explanation]:
    """Name the module where the message does not: a line near it, on the same thing, has it."""
    named = [e for e in found if e.finding.module]
    kept = []
    for each in found:
        finding = each.finding
        if not finding.module and not each.general and finding.severity is not Severity.NOTE:
            same = [e for e in named if finding.subject and e.finding.subject == finding.subject]
            tools = [e for e in named if e.general] or [e for e in named if e.finding.errno]
            nearest = min(
                same or tools,
                key=lambda e: (abs(e.line - each.line), e.line < each.line),
                default=None,
            )
            if nearest is not None:
                kept.append(replace(each, finding=replace(finding, module=nearest.finding.module)))
                continue
        kept.append(each)
    return kept


def _once(found: Iterable[Explanation]) -> list[Explanation]:
    """Keep the first of each cause: what the kernel says in two lines is one thing."""
    kept: dict[tuple[str, str, str], Explanation] = {}
    for each in found:
        key = (each.finding.name, each.finding.module, each.finding.subject)
        if each.finding.name == "harmless":
            key = ("harmless", "", each.finding.cause)
        if key not in kept or (kept[key].general and not each.general):
            kept[key] = each
    return list(kept.values())


def _without_echoes(found: Sequence[Explanation]) -> list[Explanation]:
    """Leave out lines that a more specific line explains: tools' lines, and ``err -22`` echoes."""
    kernel = [e for e in found if not e.general and e.finding.severity is Severity.FATAL]
    told = {_family(e.finding.module) for e in kernel}
    symbols = {
        _family(e.finding.module)
        for e in kernel
        if e.finding.errno == 2 or "symbol" in e.finding.name
    }
    subjects = {(e.finding.module, e.finding.subject) for e in kernel if not _is_echo(e)}
    builds = any(e.finding.name in _OF_BUILDS for e in kernel)
    kept = []
    for each in found:
        finding = each.finding
        if each.general:
            family = _family(finding.module)
            if family in told or (told and not finding.module):
                continue
            if builds and finding.name in ("dkms-build", "warnings-as-errors", "headers-missing"):
                continue
            # A dependency's symbol: modprobe names the module that was asked for.
            if finding.errno == 2 and symbols:
                continue
        if _is_echo(each) and (finding.module, finding.subject) in subjects:
            continue
        kept.append(each)
    fatal = [e for e in kept if e.finding.severity is Severity.FATAL]
    named = {e.finding.module for e in kept if e.finding.module and e.general}
    if len(fatal) > 1:
        # "See the log of the unit" says nothing where the lines of the unit are there.
        kept = [e for e in kept if e.finding.name != "see-unit-log"]
        if named or told:
            kept = [
                e
                for e in kept
                if e.finding.module or e.finding.name != "see-kernel-log" or not e.general
            ]
    return kept


_OF_BUILDS = frozenset((
    "api-changed", "build-memory", "build-tool-missing", "certificate-missing", "compile-error",
    "compiler-missing", "compiler-plugins", "compiler-too-old", "disk-full", "header-missing",
    "headers-missing", "host-library", "host-tools", "make-rule-missing", "modpost-gpl-only",
    "modpost-licence", "modpost-undefined", "namespace", "namespace-form", "namespace-reserved",
    "tree-unprepared",
))  # fmt: skip


def _family(module: str) -> str:
    """Return what modules of one driver share: a cause of nvidia is one of nvidia_drm, too."""
    return module.replace("-", "_").partition("_")[0] if module.startswith("nvidia") else module


def _is_echo(each: Explanation) -> bool:
    return "(err -22)" in each.text


def _ranked(found: Sequence[Explanation]) -> list[Explanation]:
    fatal = (Severity.FATAL, Severity.UNKNOWN)
    order = {Severity.FATAL: 0, Severity.UNKNOWN: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    return sorted(
        found,
        key=lambda e: (
            order[e.finding.severity],
            e.finding.severity in fatal and e.general,
            e.finding.name == "harmless",
        ),
    )


def with_line(each: Explanation) -> Finding:
    """Return the finding with the line of the log as its first evidence."""
    line = Evidence("the log says", each.text, f"line {each.line}")
    return replace(each.finding, evidence=(line, *each.finding.evidence))
