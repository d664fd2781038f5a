"""Say whether a module will load, and why not; or what a log shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lkm.doctor import distributions
from lkm.doctor.case import Case
from lkm.doctor.causes import format, permission, state, tree
from lkm.doctor.distribution_table import DISTRIBUTIONS
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.judge import Judgement, Verdict, case_for, judge
from lkm.doctor.target import Target, nearest
from lkm.elf.source import read_file
from lkm.errors import FormatError
from lkm.kernels.known import known_kernels
from lkm.module.image import ModuleImage, name_of
from lkm.module.names import normalize
from lkm.operations.targets import Opened, Where, open_target
from lkm.tree.plan import Reason, Step, StepKind

if TYPE_CHECKING:
    from lkm.tree.resolver import Resolver

__all__ = ["Examination", "Opened", "Where", "examine", "open_target"]


@dataclass(frozen=True, slots=True)
class Examined:
    """One module of the way: why it takes part, with which parameters, and the judgement."""

    module: str
    path: str
    reason: str
    parameters: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Examination:
    """A question to the doctor, the kernel asked about, the verdict, and every step on the way.

    ``decisive`` is the finding that stops it, ``None`` where it loads; ``steps`` are in loading
    order, the module itself last.
    """

    subject: str
    target: str
    why: str
    loads: bool
    decisive: Finding | None
    steps: tuple[Examined, ...]


def examine(
    subject: str, parameters: Sequence[str], opened: Opened, *, as_caller: bool = False
) -> Examination:
    """Judge the loading of ``subject``, a module's file or name, into a target.

    A file is loaded as insmod does, a name as modprobe does: with what it needs, its configured
    options, and the rules of modprobe.d. Who asks need not be who loads: outside a container,
    want of the capability counts only with ``as_caller``.
    """
    text = " ".join(parameters)
    if not as_caller:
        opened = _as_root(opened)
    if is_file(subject):
        steps = [_file(subject, text, opened.target, Reason.REQUESTED)]
    else:
        steps = list(_name(subject, text, opened))
    host = host_of(opened.target)
    steps = [replace(step, judgement=_in_its_words(step.judgement, host)) for step in steps]
    decisive = next((s.judgement.decisive for s in steps if s.judgement.decisive), None)
    return Examination(
        subject=subject,
        target=opened.target.name,
        why=opened.why,
        loads=decisive is None,
        decisive=decisive,
        steps=tuple(steps),
    )


def host_of(target: Target) -> distributions.HostIdentity:
    """Return whose machine a target is, by its release, else by this machine's os-release."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 16)
    except OSError:
        text = ""
    return distributions.host_of_release(target.release, DISTRIBUTIONS, text)


def _in_its_words(judgement: Judgement, host: distributions.HostIdentity) -> Judgement:
    """Return the judgement with fixes in the words of the target's distribution."""
    findings = tuple(distributions.adapted(each, host) for each in judgement.findings)
    decisive = judgement.decisive and distributions.adapted(judgement.decisive, host)
    return replace(judgement, findings=findings, decisive=decisive)


def _as_root(opened: Opened) -> Opened:
    policy = opened.target.policy
    if policy.capable is not False or policy.container:
        return opened
    target = replace(opened.target, policy=replace(policy, capable=None))
    return replace(opened, target=target, why=f"{opened.why}; loading it takes root")


def is_file(subject: str) -> bool:
    """Whether ``subject`` is meant as a path."""
    return "/" in subject or subject.endswith((".ko", ".ko.gz", ".ko.xz", ".ko.zst"))


def _file(
    path: str,
    parameters: str,
    target: Target,
    reason: str,
    sources: tuple[tuple[str, str], ...] = (),
) -> Examined:
    """Judge one file; what the kernel's other neighbours know is added to each finding."""
    name = name_of(path)
    try:
        data = read_file(path)
        case: Case = replace(case_for(path, data, target, parameters), sources=sources)
        name = case.module
        judgement = _enriched(judge(case), target)
    except FileNotFoundError:
        judgement = _alone(name, path, target, format.file_missing(path))
    except FormatError as error:
        finding = format.damaged("", path, f"expected {error.expected}, found {error.found}")
        judgement = _alone(name, path, target, finding)
    return Examined(name, path, reason, parameters, judgement)


def _alone(module: str, path: str, target: Target, *findings: Finding) -> Judgement:
    """Return a judgement that rests on no gate."""
    fatal = [finding for finding in findings if finding.severity is Severity.FATAL]
    verdict = Verdict.REFUSED if fatal else Verdict.LOADS
    decisive = fatal[0] if fatal else None
    return Judgement(module, path, target.name, verdict, decisive, findings, ())


def _enriched(judgement: Judgement, target: Target) -> Judgement:
    """Add to each symbol nobody exports where it is, or was, exported."""
    if not any(finding.name == "unknown-symbol" for finding in judgement.findings):
        return judgement
    from lkm.operations import symbol_history  # looks into other kernels; rarely needed

    history = symbol_history.History(target)
    findings = tuple(map(history.enriched, judgement.findings))
    # A refused load's decisive finding is the first of its findings.
    return replace(judgement, findings=findings, decisive=findings[0])


def _name(name: str, parameters: str, opened: Opened) -> Iterator[Examined]:
    target = opened.target
    if opened.resolver is None:
        yield from _unindexed(name, parameters, target)
        return
    loaded = target.loaded
    plan = opened.resolver.resolve(
        name, parameters, loaded=None if loaded is None else loaded.__contains__
    )
    if not plan.targets:
        yield _not_found(name, target)
        return
    for step in plan.steps:
        examined = _step(step, target, opened.resolver)
        yield examined
        if target.loaded is not None and step.kind is StepKind.INSMOD and examined.judgement.loads:
            target = target.with_loaded(ModuleImage.open(step.path), step.module)


def _step(step: Step, target: Target, resolver: Resolver | None) -> Examined:
    module = step.module
    source = str(step.source) if step.source else ""
    if step.kind is StepKind.INSMOD:
        return _file(step.path, step.options.strip(), target, step.reason, _sources(step, resolver))
    if step.kind in (StepKind.INSTALL, StepKind.REMOVE):
        finding = permission.install_rule(module, step.command, source)
    elif step.kind is StepKind.BLACKLISTED:
        finding = permission.config_blacklist(module, source, by_alias=True)
    elif step.kind is StepKind.BUILTIN:
        finding = tree.built_in(module, source)
    elif step.kind is StepKind.ALREADY_LOADED:
        finding = state.already_loaded(module).with_severity(Severity.NOTE)
    else:
        return _not_found(module, target)
    if not step.required:
        finding = finding.with_severity(Severity.WARNING)
    return Examined(module, step.path, step.reason, "", _alone(module, step.path, target, finding))


def _sources(step: Step, resolver: Resolver | None) -> tuple[tuple[str, str], ...]:
    """Return where each configured parameter of a step is written, ``(name, file:line)``."""
    rules = resolver.option_rules(step.module) if resolver is not None else []
    return tuple(
        (normalize(word.partition("=")[0]), str(rule.source))
        for rule in rules
        for word in rule.value.split()
    )


def _unindexed(name: str, parameters: str, target: Target) -> Iterator[Examined]:
    """Go by the modules' own ``depends``, for a tree that depmod has not indexed."""
    known: Mapping[str, str] = target.tree.modules if target.tree is not None else {}
    module = normalize(name)
    if module not in known:
        yield _not_found(name, target)
        return
    for path in _with_needs(module, known):
        last = path == known[module]
        reason = Reason.REQUESTED if last else Reason.DEPENDENCY
        yield _file(path, parameters if last else "", target, reason)
        if target.loaded is not None:
            target = target.with_loaded(ModuleImage.open(path))


def _with_needs(module: str, known: Mapping[str, str]) -> list[str]:
    """Return the files of ``module`` and all it needs, deepest first."""
    order: dict[str, None] = {}
    stack = [(module, False)]
    seen: set[str] = set()
    while stack:
        name, done = stack.pop()
        if done:
            order[known[name]] = None
        elif name in known and name not in seen:
            seen.add(name)
            stack.append((name, True))
            image = ModuleImage.open(known[name])
            stack += [(normalize(need), False) for need in image.depends]
    return list(order)


def _not_found(name: str, target: Target) -> Examined:
    facts = target.tree
    module = normalize(name)
    if facts is None or not (facts.modules or os.path.isdir(facts.directory)):
        directory = facts.directory if facts else f"/lib/modules/{target.release}"
        others = [k.release for k in known_kernels() if k.modules and not k.fetched]
        finding = tree.directory_gone(target.release, directory, others)
    elif module in facts.builtin:
        finding = tree.built_in(module, f"{facts.directory}/modules.builtin")
    elif module in facts.modules:
        finding = tree.not_indexed(module, facts.modules[module], target.release)
    else:
        from lkm.operations import symbol_history

        finding = tree.not_found(
            name,
            facts.directory,
            release=target.release,
            nearest=nearest(module, facts.modules),
            elsewhere=symbol_history.kernels_with_module(module, target.release),
        )
    judgement = _alone(module, "", target, finding)
    return Examined(module, "", Reason.REQUESTED, "", judgement)
