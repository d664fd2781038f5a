"""What the server answers about a kernel's modules, its options and the rules for names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """Sections with equal permissions, in pages of their own; ``kept``: after init."""

    name: str
    permissions: str
    size: int
    pages: int
    kept: bool


@dataclass(frozen=True, slots=True)
class MemorySection:
    """A section, where it is in its group (bytes) and in the file."""

    name: str
    offset: int
    size: int
    file_offset: int
    alignment: int
    group: str
    kept: bool
    loaded: bool


@dataclass(frozen=True, slots=True)
class RelocationCount:
    """How many relocations of a type a section has."""

    section: str
    type: str
    count: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a module's file says of its memory; all in bytes."""

    module: str
    path: str
    release: str
    core: int
    init: int
    percpu: int
    page_size: int
    groups: tuple[MemoryGroup, ...]
    sections: tuple[MemorySection, ...]
    relocations: tuple[RelocationCount, ...]
    command: str


@dataclass(frozen=True, slots=True)
class OptionHead:
    """An option of a kernel's configuration and the modules that it makes."""

    name: str
    value: str
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The first options whose name or module has the text; ``total`` is how many there are."""

    release: str
    options: tuple[OptionHead, ...]
    total: int


@dataclass(frozen=True, slots=True)
class OptionModule:
    """A module of an option; sizes in bytes, 0 where it is built in (``path`` is then empty)."""

    name: str
    built_in: bool
    path: str
    file_size: int
    core: int
    init: int


@dataclass(frozen=True, slots=True)
class OptionFacts:
    """What an option is in this kernel, and what comes of it.

    ``needed_for_root`` is ``None`` where that cannot be known here, and ``needed_why`` says why.
    """

    name: str
    value: str
    release: str
    prompt: str
    where: str
    modules: tuple[OptionModule, ...]
    needed_for_root: bool | None
    needed_why: str
    aliases: int
    command: str


@dataclass(frozen=True, slots=True)
class BootStep:
    """A step from the firmware to the root file system; ``where`` its code comes from."""

    name: str
    what: str
    seconds: float | None
    where: str


@dataclass(frozen=True, slots=True)
class BootLine:
    """How this kernel comes to its root file system."""

    release: str
    initramfs: bool
    root: str
    steps: tuple[BootStep, ...]
    command: str


@dataclass(frozen=True, slots=True)
class NeededModule:
    """A module of a closure; ``order``: the place in which it is loaded, 0 first; -1: never."""

    name: str
    path: str
    size: int
    core: int
    order: int


@dataclass(frozen=True, slots=True)
class NeedEdge:
    """``module`` needs ``needs``; ``kind`` is hard, pre, post or weak."""

    module: str
    needs: str
    kind: str


@dataclass(frozen=True, slots=True)
class SymbolCounts:
    """How many symbols of the kernel image nm calls ``T``, and how many modules may use.

    ``text_not_exported`` and ``exports_not_text`` are why the one does not tell the other.
    """

    text: int
    text_not_exported: int
    exports: int
    exports_not_text: int


@dataclass(frozen=True, slots=True)
class NeedsGraph:
    """What a module needs; ``command`` is the equal ``lkm`` command line, here and elsewhere."""

    release: str
    roots: tuple[str, ...]
    modules: tuple[NeededModule, ...]
    edges: tuple[NeedEdge, ...]
    order: tuple[str, ...]
    problems: tuple[str, ...]
    symbols: SymbolCounts
    command: str


@dataclass(frozen=True, slots=True)
class EdgeSymbols:
    """The symbols for which one module needs another."""

    module: str
    needs: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TreeModule:
    """A module of the whole tree: indices into the tree's folders and modules."""

    name: str
    folder: int
    size: int
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TreeMap:
    """All modules of a kernel; ``size`` of the files in bytes."""

    release: str
    folders: tuple[str, ...]
    modules: tuple[TreeModule, ...]


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where something is written; ``line`` 0: the file as a whole."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class RuleText:
    """One line of configuration: its command, the name it is about, the rest."""

    kind: str
    name: str
    value: str
    source: RuleSource


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A rule and what becomes of it: applies, shadowed, masked, none or kernel."""

    rule: RuleText
    module: str
    effect: str
    because: str


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of modprobe's plan; ``source`` is ``file:line`` or empty."""

    kind: str
    module: str
    reason: str
    path: str
    options: str
    command: str
    source: str


@dataclass(frozen=True, slots=True)
class NameMeaning:
    """A place that knows the name, in modprobe's order; the first that knows it decides."""

    source: RuleSource
    pattern: str
    module: str
    decides: bool


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What is doubtful in the configuration."""

    severity: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class NameRules:
    """Who decides a name."""

    name: str
    release: str
    steps: tuple[PlannedStep, ...]
    meanings: tuple[NameMeaning, ...]
    rules: tuple[JudgedRule, ...]
    similar: tuple[str, ...]
    findings: tuple[RuleFinding, ...]
    problems: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True)
class RulesConfigFile:
    """A file of an example."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class RulesExample:
    """A configuration worth a look, and names to ask it."""

    name: str
    title: str
    files: tuple[RulesConfigFile, ...]
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RulesExamples:
    """What the rules view starts from."""

    examples: tuple[RulesExample, ...]
