"""dkms's command line: options anywhere, long ones with an argument known by their beginning.

Source: the loop "Parse command line arguments" of the dkms script, and what follows it.
"""

from __future__ import annotations

import os
from types import MappingProxyType

from lkm.build.dkms_tree import KernelTarget
from lkm.cli.dkms_console import silence
from lkm.cli.kmod_options import JSON, Option, Tool
from lkm.operations.dkms import settings as dkms_settings
from lkm.operations.dkms.reporting import DkmsFailure, warn
from lkm.operations.dkms.run import KERNEL_HOOKS, VERBS
from lkm.operations.dkms.settings import DkmsSettings
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lkm.cli.dkms_console import Console

OWN_VERBS = ("doctor", "sign", "resign", "repair", "hooks", "configure", "new", "logs", "test")
"""The verbs that dkms has not (see ``lkm.cli.dkms_verbs``)."""

TOOL = Tool(
    "dkms",
    ("VERB [options] [MODULE/VERSION | FOLDER | ARCHIVE]",),
    (
        Option("m", "module", "MODULE", "The package, or MODULE/VERSION"),
        Option("v", "", "VERSION", "The package's version"),
        Option("k", "kernelver", "VERSION", "The kernel, or KERNEL/ARCH (repeatable)"),
        Option("a", "arch", "ARCH", "The architecture (repeatable)"),
        Option("", "all", help="Every kernel that the package is built for"),
        Option("c", "", "FILE", "Read this dkms.conf"),
        Option("j", "", "NUMBER", "So many jobs of make, 0: no limit"),
        Option("q", "quiet", help="Print nothing"),
        Option("", "force", help="Do it again, or in spite of a refusal"),
        Option("", "force-version-override", help="Install over a newer module"),
        Option("", "templatekernel", "VERSION", "match: the kernel that has what is wanted"),
        Option("", "directive", "NAME=VALUE", "Set a directive of dkms.conf (repeatable)"),
        Option("", "config", "FILE", "The kernel's configuration"),
        Option("", "kernelsourcedir", "DIR", "The kernel's headers"),
        Option("", "archive", "FILE", "The archive to write or load"),
        Option("", "dkmstree", "DIR", "Instead of /var/lib/dkms"),
        Option("", "sourcetree", "DIR", "Instead of /usr/src"),
        Option("", "installtree", "DIR", "Instead of /lib/modules"),
        Option("", "source-only", help="mktarball: without modules"),
        Option("", "binaries-only", help="mktarball: without source"),
        Option("", "symlink-modules", help="Install links"),
        Option("", "no-depmod", help="Do not index the kernel's modules"),
        Option("", "modprobe-on-install", help="Load what the devices ask for"),
        Option("", "rpm_safe_upgrade", help="For rpm's scriptlets"),
        Option("", "verbose", help="Print the commands that are run"),
        Option("", "debug", help="Ignored"),
        Option("V", "version", help="Print the version of dkms whose place is taken"),
        Option("h", "help", help="Print the usage"),
        Option("", "root", "DIR", "Use an image of a machine", own=True),
        Option("", "watch", help="status: show it anew when it changes", own=True),
        Option("", "kernels", "RELEASES", "test: these kernels, or all", own=True),
        Option("", "fetch", help="test: fetch the kernels and headers that are missing", own=True),
        Option("", "try", help="test: load what was built into the emulated kernel", own=True),
        Option("", "junit", "FILE", "test: write a JUnit report", own=True),
        Option("", "markdown", "FILE", "test: write a Markdown table", own=True),
        Option("", "sandbox", help="A build sees and writes its own folder only", own=True),
        JSON,
    ),
    "Verbs: " + " ".join((*VERBS, *OWN_VERBS)),
)

_WITH_ARGUMENT = (
    ("--module", "-m"),
    ("", "-v"),
    ("--kernelver", "-k"),
    ("--templatekernel", ""),
    ("", "-c"),
    ("--dkmstree", ""),
    ("--sourcetree", ""),
    ("--installtree", ""),
    ("--config", ""),
    ("--archive", ""),
    ("--arch", "-a"),
    ("--kernelsourcedir", ""),
    ("--kernels", ""),
    ("--directive", ""),
    ("", "-j"),
    ("--root", ""),
    ("--junit", ""),
    ("--markdown", ""),
)
_SWITCHES = {
    "--binaries-only": "binaries_only",
    "--source-only": "source_only",
    "--force": "force",
    "--force-version-override": "force_version_override",
    "--all": "all",
    "--verbose": "verbose",
    "--rpm_safe_upgrade": "rpm_safe_upgrade",
    "--symlink-modules": "symlink_modules",
    "--no-depmod": "no_depmod",
    "--modprobe-on-install": "modprobe_on_install",
    "--sandbox": "sandbox",
    "--debug": "",
    "--json": "json",
    "--watch": "watch",
    "--try": "try",
    "--fetch": "fetch",
}
_DEPRECATED = ("--no-initrd", "--no-clean-kernel", "--no-prepare-kernel")


class WrongUse(DkmsFailure):
    """A command line that cannot be carried out; ``with_usage`` says to show how one looks."""

    def __init__(self, status: int, *lines: str, with_usage: bool = False) -> None:
        super().__init__(status, *lines)
        self.with_usage = with_usage


class CommandLine(Record):
    """What was asked for: a verb, its settings, and the options of our own verbs.

    ``shows`` is ``version`` or ``help`` when only that was asked for; ``switches`` and ``values``
    are by name, without the dashes; ``words`` follow one of our own verbs.
    """

    verb: str
    settings: DkmsSettings
    shows: str = ""
    switches: frozenset[str] = frozenset()
    values: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    words: tuple[str, ...] = ()
    kernels_given: bool = False


class _Parser:
    """Goes through the words as dkms does, in order, with what it has found so far."""

    def __init__(self, words: list[str], console: Console) -> None:
        self._rest = list(words)
        self._console = console
        self.verb = ""
        self.module = ""
        self.version = ""
        self.source = ""
        self.archive = ""
        self.shows = ""
        self.switches: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.kernels: list[str] = []
        self.arches: list[str] = []
        self.words: list[str] = []

    def go(self) -> None:
        """Read all words, or up to one that ends the reading."""
        while self._rest and not self.shows:
            word = self._rest.pop(0)
            if word.startswith("-"):
                self._option(word)
            else:
                self._operand(word)

    def _option(self, word: str) -> None:
        for long, short in _WITH_ARGUMENT:
            if word == short or (long and word.startswith(long) and word not in _SWITCHES):
                self._with_argument((long or short).lstrip("-"), self._argument(word))
                return
        if word in ("--quiet", "-q"):
            silence()
        elif word in ("--version", "-V"):
            self.shows = "version"
        elif word in ("--help", "-h"):
            self.shows = "help"
        elif word in _DEPRECATED:
            self._console.complain(f"Deprecated feature: {word}")
        elif word in _SWITCHES:
            self.switches.add(_SWITCHES[word])
        else:
            raise WrongUse(2, f"Unknown option: {word}", with_usage=True)

    def _argument(self, word: str) -> str:
        """Return what follows ``=``, or the next word; blanks around it do not count."""
        _, equals, value = word.partition("=")
        if not equals:
            value = self._rest.pop(0) if self._rest else ""
        return value.split("\n", 1)[0].strip(" \t")

    def _with_argument(self, name: str, value: str) -> None:
        if name == "module":
            self._take_module(value)
        elif name == "v":
            self.version = value
        elif name == "kernelver":
            kernel, slash, arch = value.partition("/")
            self.kernels.append(kernel)
            if slash:
                self.arches.append(arch)
        elif name == "arch":
            self.arches.append(value)
        elif name == "archive":
            self.archive = value
        else:
            self.values.setdefault(name, []).append(value)

    def _take_module(self, value: str) -> None:
        module, slash, version = value.partition("/")
        self.module = module
        if slash:
            self.version = version

    def _operand(self, word: str) -> None:
        if self.verb in OWN_VERBS:
            self.words.append(word)
        elif word in VERBS:
            if self.verb:
                raise WrongUse(4, "Cannot specify more than one action.")
            self.verb = word
        elif word in OWN_VERBS and not self.verb:
            self.verb = word
        elif os.path.isfile(word) and word.endswith("dkms.conf"):
            self.source = word[: -len("dkms.conf")] + "./"
        elif os.path.isdir(word) and os.path.isfile(f"{word}/dkms.conf"):
            self.source = word
        elif os.path.isfile(word):
            self.archive = word
        elif not self.module:
            self._take_module(word)
        else:
            warn(self._console, f"I do not know how to handle {word}.")


def parse(words: list[str], console: Console) -> CommandLine:
    """Take a command line apart; raises ``WrongUse``."""
    parser = _Parser(words, console)
    parser.go()
    if not parser.shows:
        _check(parser)
    settings = _settings(parser)
    return CommandLine(
        verb=parser.verb,
        settings=settings,
        shows=parser.shows,
        switches=frozenset(parser.switches),
        values={name: tuple(values) for name, values in parser.values.items()},
        words=tuple(parser.words),
        kernels_given=bool(parser.kernels),
    )


def _check(parser: _Parser) -> None:
    switches = parser.switches
    if {"binaries_only", "source_only"} <= switches:
        raise WrongUse(
            8, "You have specified both --binaries-only and --source-only.", "You cannot do this."
        )
    if len(parser.arches) > 1 and len(parser.kernels) != len(parser.arches):
        raise WrongUse(
            1,
            "If more than one arch is specified on the command line, then there",
            "must be an equal number of kernel versions also specified (1:1 relationship).",
        )
    if parser.kernels and "all" in switches:
        raise WrongUse(
            2, "You cannot specify a kernel version and also specify", "--all on the command line."
        )
    if parser.arches and "all" in switches:
        raise WrongUse(
            3, "You cannot specify an arch and also specify", "--all on the command line."
        )


def _settings(parser: _Parser) -> DkmsSettings:
    def last(name: str) -> str:
        return parser.values.get(name, [""])[-1]

    root = last("root").rstrip("/")
    tmp = os.environ.get("TMPDIR") or "/tmp"
    framework = dkms_settings.read_framework(root, tmp)
    distribution = dkms_settings.distribution(root)
    switches = parser.switches
    install_tree = last("installtree") or framework["install_tree"]
    given = parser.values["j"][-1] if "j" in parser.values else None
    return DkmsSettings(
        dkms_tree=last("dkmstree") or framework["dkms_tree"],
        source_tree=last("sourcetree") or framework["source_tree"],
        install_tree=install_tree,
        tmp=framework.get("tmp_location") or tmp,
        distribution=distribution,
        framework=framework,
        root=root,
        module=parser.module,
        version=parser.version,
        targets=_targets(parser, distribution, install_tree),
        conf=last("c"),
        kernel_config=last("config"),
        kernel_source=last("kernelsourcedir"),
        archive=parser.archive,
        source=parser.source,
        template_kernel=last("templatekernel"),
        directives=tuple(parser.values.get("directive", ())),
        all="all" in switches,
        force="force" in switches,
        force_version_override="force_version_override" in switches,
        no_depmod="no_depmod" in switches,
        modprobe_on_install=_either(switches, framework, "modprobe_on_install"),
        symlink_modules=_either(switches, framework, "symlink_modules"),
        rpm_safe_upgrade="rpm_safe_upgrade" in switches,
        source_only="source_only" in switches,
        binaries_only="binaries_only" in switches,
        verbose=_either(switches, framework, "verbose"),
        jobs=dkms_settings.jobs(given, framework),
        sandbox="sandbox" in switches,
    )


def _either(switches: set[str], framework: dict[str, str], name: str) -> bool:
    return name in switches or bool(framework.get(name))


def _targets(parser: _Parser, distribution: str, install_tree: str) -> tuple[KernelTarget, ...]:
    """Return the kernels named; for ``status`` what was not named stays open."""
    kernels, arches = parser.kernels, parser.arches
    if parser.verb == "status" and not kernels:
        return (KernelTarget("", arches[0]),) if arches else ()
    is_open = parser.verb in KERNEL_HOOKS or "all" in parser.switches
    if not kernels and is_open:
        return ()
    if parser.verb == "status":
        given = arches or [""]
    else:
        kernels = kernels or [os.uname().release]
        given = arches or [_machine(distribution, install_tree, kernels[0])]
    if len(given) == 1:
        given = given * len(kernels)
    return tuple(KernelTarget(kernel, arch) for kernel, arch in zip(kernels, given, strict=False))


def _machine(distribution: str, install_tree: str, kernel: str) -> str:
    """Return the architecture: what the machine says, on rpm's distributions what rpm does."""
    machine = os.uname().machine
    if distribution.startswith(("debian", "ubuntu", "arch", "gentoo")) or not distribution:
        return machine
    import subprocess  # only where rpm is

    script = (
        'rpm -q --queryformat "%{ARCH}" "$(rpm -qf "$1" 2>/dev/null | grep kernel | head -n 1)"'
    )
    command = ["sh", "-c", script, "sh", f"{install_tree}/{kernel}"]
    done = subprocess.run(command, capture_output=True, check=False)
    found = os.fsdecode(done.stdout).strip()
    return found if done.returncode == 0 and found.isidentifier() else machine
