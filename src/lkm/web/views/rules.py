"""Who decides a name: a kernel's indexes under the configuration that was typed, and no other."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

from lkm.kernels.choose import choose_bootable
from lkm.operations import why
from lkm.operations.lint import lint
from lkm.tree.config import read_config
from lkm.tree.config_files import Source
from lkm.tree.indexes import Indexes
from lkm.tree.plan import Step
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root
from lkm.web.contract.requests import NoQuestion, RulesRequest
from lkm.web.contract.tree_answers import (
    JudgedRule,
    NameMeaning,
    NameRules,
    PlannedStep,
    RuleFinding,
    RulesConfigFile,
    RulesExample,
    RulesExamples,
    RuleSource,
    RuleText,
)
from lkm.web.views.running import of_release
from lkm.web.views.state import Surroundings

_LOCAL, _VENDOR = "/etc/modprobe.d/local.conf", "/usr/lib/modprobe.d/vendor.conf"


def answer(request: RulesRequest, surroundings: Surroundings) -> NameRules:
    """Return what a name stands for, each rule about it, and what is doubtful."""
    kernel = choose_bootable(request.kernel)
    folder = Path(tempfile.mkdtemp(prefix="rules-", dir=surroundings.folder))
    try:
        return _explained(request, folder, kernel.root, kernel.release)
    finally:
        shutil.rmtree(folder)


def examples(_question: NoQuestion, _surroundings: Surroundings) -> RulesExamples:
    """Return configurations worth a look."""
    return RulesExamples(all_examples())


def all_examples() -> tuple[RulesExample, ...]:
    """Return all examples of configurations."""
    return (
        _example(
            "blacklist",
            "A blacklist stops aliases only",
            ((_LOCAL, "# stops the hardware's alias, not modprobe dummy\nblacklist dummy\n"),),
            ("rtnl-link-dummy", "dummy"),
        ),
        _example(
            "options",
            "Options add up, the last value wins",
            (
                (_VENDOR, "options dummy numdummies=1\n"),
                (_LOCAL, "options dummy numdummies=3\n"),
            ),
            ("dummy",),
        ),
        _example(
            "install",
            "The first install rule counts",
            (
                (_LOCAL, "install dummy /bin/false\n"),
                ("/etc/modprobe.d/z-late.conf", "install dummy /sbin/modprobe -i dummy\n"),
            ),
            ("dummy",),
        ),
        _example(
            "softdep",
            "A soft dependency is loaded before",
            ((_LOCAL, "softdep btrfs pre: zstd post: dummy\n"),),
            ("btrfs",),
        ),
        _example(
            "masked",
            "A file in /etc hides its namesake in /usr/lib",
            (
                ("/usr/lib/modprobe.d/net.conf", "blacklist tun\n"),
                ("/etc/modprobe.d/net.conf", "# nothing\n"),
            ),
            ("tun", "devname:net/tun"),
        ),
    )


def _example(
    name: str, title: str, files: tuple[tuple[str, str], ...], asks: tuple[str, ...]
) -> RulesExample:
    return RulesExample(name, title, tuple(RulesConfigFile(*file) for file in files), asks)


def _explained(request: RulesRequest, folder: Path, root: Path, release: str) -> NameRules:
    configured, command_line = Root(folder, release), folder / "cmdline"
    for file in request.files:
        path = Path(configured.path(file.path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8", errors="surrogateescape")
    command_line.write_text(request.command_line, encoding="utf-8", errors="surrogateescape")
    tree = Root(root, release)
    config = read_config(
        configured.config_directories("modprobe.d"),
        modules_directory=tree.modules_directory,
        kernel_command_line=str(command_line),
    )
    resolver = Resolver(tree, config, Indexes(tree.modules_directory))
    told = why.explain(resolver, request.name)
    name = _Names(folder, root, command_line)
    return NameRules(
        name=told.name,
        release=release,
        steps=tuple(map(name.step, told.plan.steps)),
        meanings=tuple(
            NameMeaning(name.source(m.source), m.pattern, m.module, m.decides)
            for m in told.meanings
        ),
        rules=tuple(map(name.judged, told.rules)),
        similar=told.similar,
        findings=tuple(
            RuleFinding(f.severity.value, f.message, name.text(str(f.source)))
            for f in lint.lint(Resolver(configured, config, resolver.indexes), str(command_line))
            if str(f.source).startswith((str(folder), str(command_line)))
        ),
        problems=tuple(name.text(problem) for problem in told.plan.problems),
        command=f"lkm why {shlex.quote(request.name)}{of_release(release)}",
    )


class _Names:
    """Names files as they are called in the root that was typed."""

    def __init__(self, folder: Path, root: Path, command_line: Path) -> None:
        self._replaced = {str(command_line): "/proc/cmdline", str(folder): ""}
        if str(root) != "/":
            self._replaced[str(root)] = ""

    def text(self, text: str) -> str:
        for real, shown in self._replaced.items():
            text = text.replace(real, shown)
        return text

    def source(self, source: Source) -> RuleSource:
        return RuleSource(self.text(os.fspath(source.path)), source.line or 0)

    def step(self, step: Step) -> PlannedStep:
        return PlannedStep(
            kind=step.kind.value,
            module=step.module,
            reason=step.reason.value,
            path=self.text(step.path),
            options=step.options.strip(),
            command=step.command,
            source=self.text(str(step.source)) if step.source else "",
        )

    def judged(self, judged: why.Judged) -> JudgedRule:
        rule = judged.rule
        text = RuleText(rule.kind, rule.name, rule.value, self.source(rule.source))
        return JudgedRule(text, judged.module, judged.effect.value, self.text(judged.because))
