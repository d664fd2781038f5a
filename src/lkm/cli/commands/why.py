"""Tell what loading a name would do, and which rule decides."""

from __future__ import annotations

import click

from lkm.cli.output import print_json
from lkm.cli.tree_options import OpenTree, tree_options
from lkm.operations.why import Effect, Judged, NameExplanation, explain
from lkm.tree.plan import Plan, Reason, Step, StepKind
from lkm.tree.resolver import Resolver


@click.command("why")
@click.argument("name")
@tree_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(name: str, open_tree: OpenTree, as_json: bool) -> int:
    """Tell what loading NAME (a module, an alias, a modalias) would do, and why.

    Nothing is loaded, and what the kernel has loaded does not count.
    """
    resolver = open_tree()
    answer = explain(resolver, name)
    if as_json:
        print_json("why", **_document(answer))
    else:
        click.echo(text(answer, resolver), nl=False)
    return 0 if answer.plan.targets else 1


def _document(answer: NameExplanation) -> dict[str, object]:
    return {
        "name": answer.name,
        "meanings": answer.meanings,
        "steps": answer.plan.steps,
        "rules": answer.rules,
        "problems": answer.plan.problems,
        "similar": answer.similar,
        "early": answer.early,
    }


def text(answer: NameExplanation, resolver: Resolver) -> str:
    """Return the answer as a person reads it; the module directory is named once, at the top."""
    if not answer.plan.targets:
        return "".join(f"{line}\n" for line in _unknown_lines(answer, resolver))
    directory = resolver.directory
    lines = [*_meaning_lines(answer, directory), *_step_lines(answer.plan, directory)]
    lines += _rule_lines(answer, directory)
    lines += _early_lines(answer)
    lines += [f"note: {problem}" for problem in answer.plan.problems]
    return "\n".join(lines) + "\n"


def _below(directory: str, path: object) -> str:
    """Return a path or ``file:line`` as it is named below the module directory."""
    return str(path).removeprefix(f"{directory}/")


def _unknown_lines(answer: NameExplanation, resolver: Resolver) -> list[str]:
    lines = [
        f"{answer.name}: no module, alias or rule of that name",
        f"  looked in {resolver.directory}",
    ]
    if not any(True for _ in resolver.indexes.items("modules.dep")):
        lines.append("  which has no modules.dep; run depmod")
    if answer.similar:
        lines.append(f"  similar: {', '.join(answer.similar)}")
    return lines


def _meaning_lines(answer: NameExplanation, directory: str) -> list[str]:
    modules = ", ".join(dict.fromkeys(target.module for target in answer.plan.targets))
    lines = [f"{answer.name} means {modules}, in {directory}"]
    for meaning in answer.meanings:
        pattern = "" if meaning.pattern == meaning.module else f"{meaning.pattern} → "
        verdict = "" if meaning.decides else "   not asked: an earlier place knows the name"
        source = _below(directory, meaning.source)
        lines.append(f"  {pattern}{meaning.module}   {source}{verdict}")
    return lines


def _step_lines(plan: Plan, directory: str) -> list[str]:
    """Return the steps; a module that kmod lists twice is loaded at the first."""
    lines = ["", "In this order:"]
    steps: dict[tuple[str, StepKind], Step] = {}
    for step in plan.steps:
        steps.setdefault((step.module, step.kind), step)
    for number, step in enumerate(steps.values(), 1):
        lines.append(f"{number:>3}. {_action(step, directory)}   {_reason(step, directory)}")
    return lines


def _action(step: Step, directory: str) -> str:
    if step.kind is StepKind.INSMOD:
        options = f" {step.options.strip()}" if step.options.strip() else ""
        return f"load {_below(directory, step.path)}{options}"
    if step.kind is StepKind.INSTALL:
        return f"run {step.command}   in place of loading {step.module}"
    words = {
        StepKind.BUILTIN: "nothing: {} is part of the kernel image",
        StepKind.BLACKLISTED: "nothing: {} is blacklisted",
        StepKind.MISSING: "fail: {} has no file",
    }
    return words.get(step.kind, step.kind.value + " {}").format(step.module)


def _reason(step: Step, directory: str) -> str:
    if step.reason is Reason.REQUESTED:
        return (
            f"({_below(directory, step.source)})"
            if step.kind is StepKind.BLACKLISTED
            else "(asked for)"
        )
    where = f", {_below(directory, step.source)}"
    source = where if step.reason is not Reason.DEPENDENCY else ""
    optional = "" if step.required else "; a failure would not matter"
    return f"({step.reason.value} of {step.parent}{source}{optional})"


def _rule_lines(answer: NameExplanation, directory: str) -> list[str]:
    if not answer.rules:
        return []
    return ["", "Rules that name one of them:", *(f"  {_rule(j, directory)}" for j in answer.rules)]


def _early_lines(answer: NameExplanation) -> list[str]:
    """Return what there is to say of the initramfs, in which rules count once it is made anew."""
    lines = []
    for early in answer.early:
        if early.newer:
            newer = ", ".join(early.newer)
            said = f"{early.image} was made before {newer} changed: there it does not count"
        elif early.image:
            said = f"{early.image} is newer than the rules for {early.module}"
        else:
            said = f"an initramfs may load {early.module} first, with the rules it was made with"
        lines += ["", f"initramfs: {said}", f"  made anew by: {early.command}"]
    return lines


def _rule(judged: Judged, directory: str) -> str:
    rule = judged.rule
    because = _below(directory, judged.because)
    value = f" {rule.value.strip()}" if rule.value else ""
    verdict = {
        Effect.APPLIES: "applies",
        Effect.SHADOWED: f"has no effect: only the first counts, {because}",
        Effect.MASKED: f"is not read: {because} has the same name",
        Effect.NONE: f"has no effect: {because}",
        Effect.KERNEL: because,
    }[judged.effect]
    return f"{_below(directory, rule.source)}: {rule.kind} {rule.name}{value}   {verdict}"
