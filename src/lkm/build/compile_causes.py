"""What is behind a compiler's error, in one sentence, where the kernel's headers can tell.

A name that the headers do not have is looked for in them: in a header that is not included, or
under a name that it got later. The table tells what became of names that out-of-tree sources
still use; a line of it is only said where the headers at hand bear it out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm.build.api_changes import HEADERS, MEMBERS, NAMES, SIGNATURES

_UNKNOWN = re.compile(
    r"error: (?:implicit declaration of function|call to undeclared function|"
    r"use of undeclared identifier|unknown type name|"
    r"invalid use of undefined type|storage size of .* isn.t known|field .* has incomplete type)"
    r"[^\n]{0,40}?['‘](?:struct )?(\w+)['’]|error: ['‘](\w+)['’] undeclared"
)
_MEMBER = re.compile(
    r"error: ['‘](?:const )?(?:struct (\w+)|(\w+))['’] has no member named ['‘](\w+)['’]"
)
_NO_HEADER = re.compile(r"fatal error: ['\"]?([\w./+-]+)['\"]?(?:: No such file| file not found)")
_ARGUMENTS = re.compile(
    r"error: (?:too (?:many|few) arguments to function(?: call)?[^\n]*?['‘](\w+)['’])"
)
_MACRO_ARGUMENTS = re.compile(r"error: macro \"(\w+)\" (?:requires|passed) \d+ arguments")
_INCOMPATIBLE = re.compile(r"error: (?:initialization of|passing argument|incompatible)")
_MEMBER_TYPE = re.compile(r"^\s*\d* \|\s*\.(\w+)\s*=", re.MULTILINE)
_UNDEFINED = re.compile(r'modpost: "(\w+)" \[([^\]]+)\] undefined!')
_GPL = re.compile(r"modpost: GPL-incompatible module (\S+) uses GPL-only symbol '(\w+)'")
_NO_LICENCE = re.compile(r"modpost: missing MODULE_LICENSE\(\) in (\S+)")
_NAMESPACE = re.compile(
    r"modpost: module (\S+) uses symbol (\w+) from namespace (\w+), but does not import it"
)
_NOT_INSTALLED = re.compile(
    r"(?:^|: )(?:/bin/)?(?:ba)?(?:sh: (?:line )?\d+: )?([\w.+-]+): (?:command )?not found|"
    r"make(?:\[\d+\])?: ([\w.+-]+): No such file or directory", re.MULTILINE
)  # fmt: skip
_NO_RULE = re.compile(r"No rule to make target '([^']+)', needed by '([^']+)'")
_TIME_LIMIT = 20.0
_MOST = 5


@dataclass(frozen=True, slots=True)
class CompileCause:
    """Why something does not compile, in one sentence, and what to do, where that is known."""

    sentence: str
    advice: str = ""


class _Headers:
    """A kernel's headers, searched."""

    def __init__(self, headers: Path, source: Path, release: str) -> None:
        self.release = release
        folders = [root / sub for root in dict.fromkeys((headers, source))
                   for sub in ("include", "arch/x86/include", "arch/arm64/include")]  # fmt: skip
        self.folders = [folder.resolve() for folder in folders if folder.is_dir()]

    def has(self, header: str) -> bool:
        return any((folder / header).is_file() for folder in self.folders)

    def named(self, name: str) -> list[str]:
        """Return the headers of that file name, as one includes them."""
        found = [
            str(path.relative_to(folder))
            for folder in self.folders
            for path in folder.glob(f"*/**/{name}")
        ]
        return sorted(set(found), key=len)

    def declaring(self, name: str) -> list[str]:
        """Return the headers that declare a function, macro or type of that name."""
        if shutil.which("grep") is None or not self.folders:
            return []
        pattern = (
            rf"^[^/*]*\b{name}\s*\(|^\s*#\s*define\s+{name}\b|"
            rf"^\s*(struct|union|enum)\s+{name}\s*\{{|^typedef\b.*\b{name}\s*;|^\s*{name}\s*[,=]"
        )
        command = ["grep", "-rlE", "--include=*.h", "--", pattern, *map(str, self.folders)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT
            )
        except subprocess.TimeoutExpired:
            return []
        found = []
        for line in done.stdout.splitlines():
            for folder in self.folders:
                if line.startswith(f"{folder}/"):
                    found.append(line.removeprefix(f"{folder}/").removeprefix("uapi/"))
        order = ("linux/", "net/", "asm-generic/")
        return sorted(set(found), key=lambda path: (not path.startswith(order), len(path)))


def causes(output: str, headers: Path, source: Path, release: str) -> tuple[CompileCause, ...]:
    """Return what is known of the errors in a compiler's output, the first error's first.

    ``headers`` and ``source`` are the kernel's folders, in which names are looked for.
    """
    known = _Headers(headers, source, release)
    found: dict[str, CompileCause] = {}
    for cause in _each(output, known):
        found.setdefault(cause.sentence, cause)
        if len(found) == _MOST:
            break
    return tuple(found.values())


def _each(output: str, known: _Headers) -> Iterator[CompileCause]:
    lines = output.splitlines()
    for number, line in enumerate(lines):
        for pattern, cause in _READERS:
            if match := pattern.search(line):
                yield cause(match, known)
                break
        else:
            shown = _MEMBER_TYPE.search("\n".join(lines[number + 1 : number + 3]))
            if _INCOMPATIBLE.search(line) and shown and shown[1] in SIGNATURES:
                yield _signature(shown[1], known)
    for match in _NOT_INSTALLED.finditer(output):
        program = match[1] or match[2]
        if shutil.which(program) is None:
            yield CompileCause(
                f"its build needs the program {program}, which is not installed",
                f"apt install {_PACKAGES.get(program, program)}",
            )


def _no_rule(target: str, needed_by: str) -> CompileCause:
    if target.endswith(".o"):
        source = target.removesuffix(".o").rpartition("/")[2]
        return CompileCause(
            f"the Makefile lists {source}.o, but there is no {source}.c to make it of",
            "take it out, or add the file",
        )
    return CompileCause(f"{needed_by} is made of {target}, which is not there")


_PACKAGES = {
    "g++": "g++", "cc": "gcc", "autoreconf": "autoconf automake libtool", "pkg-config": "pkgconf",
    "aclocal": "automake", "libtoolize": "libtool", "bc": "bc", "xxd": "xxd", "lex": "flex",
    "yacc": "bison", "python": "python-is-python3", "ld.lld": "lld", "llvm-ar": "llvm",
}  # fmt: skip


def _header(name: str, known: _Headers) -> CompileCause:
    base = name.rpartition("/")[2]
    if name in HEADERS:
        since, now = HEADERS[name]
        if now and known.has(now):
            return CompileCause(
                f"<{name}> is gone since Linux {since}: it is <{now}>", f"#include <{now}>"
            )
        return CompileCause(f"<{name}> is gone since Linux {since}")
    kernels = name.startswith(("linux/", "asm/", "net/", "uapi/", "generated/", "drm/", "media/"))
    elsewhere = [path for path in known.named(base) if path != name]
    if kernels and elsewhere:
        return CompileCause(
            f"kernel {known.release} has no <{name}>; it has <{elsewhere[0]}>",
            f"#include <{elsewhere[0]}>",
        )
    if kernels:
        return CompileCause(f"kernel {known.release} has no <{name}> among its headers")
    return CompileCause(
        f'"{name}" is neither in the source that is built nor among the headers of kernel '
        f"{known.release}",
        "add it, or its folder: ccflags-y += -I$(src)/FOLDER; a library's is in its -dev package",
    )


def _name(name: str, known: _Headers) -> CompileCause:
    declared = known.declaring(name)
    if declared:
        return CompileCause(
            f"{name} is declared in <{declared[0]}>, which is not included",
            f"#include <{declared[0]}>",
        )
    if name in NAMES:
        since, now = NAMES[name]
        instead = f": {now}" if now else ""
        return CompileCause(f"the kernel has no {name} since Linux {since}{instead}")
    return CompileCause(f"no header of kernel {known.release} declares {name}")


def _member(kind: str, member: str, known: _Headers) -> CompileCause:
    for name in (f"{kind}.{member}", f"*.{member}"):
        if name in MEMBERS:
            since, now = MEMBERS[name]
            instead = f": {now}" if now else ""
            return CompileCause(f"struct {kind} has no {member} since Linux {since}{instead}")
    return CompileCause(f"struct {kind} of kernel {known.release} has no member {member}")


def _signature(name: str, known: _Headers) -> CompileCause:
    if name in SIGNATURES:
        since, now = SIGNATURES[name]
        return CompileCause(f"{name} is another function since Linux {since}: {now}")
    return CompileCause(
        f"{name} takes other arguments in kernel {known.release} than the source gives it"
    )


def _undefined(symbol: str, module: str, known: _Headers) -> CompileCause:
    file = module.rpartition("/")[2]
    declared = known.declaring(symbol)
    if declared and symbol in NAMES:
        since, now = NAMES[symbol]
        return CompileCause(f"modules have no {symbol} since Linux {since}: {now}")
    if declared:
        return CompileCause(
            f"kernel {known.release} declares {symbol}, but does not export it to modules",
            f"lkm symbols {symbol} --kernel {known.release} tells whether a module of it does",
        )
    return CompileCause(
        f"{file} uses {symbol}, which neither kernel {known.release} nor the source exports",
        "if another module of yours exports it: "
        "--make KBUILD_EXTRA_SYMBOLS=/its/folder/Module.symvers",
    )


def _gpl_only(match: re.Match[str], _known: _Headers) -> CompileCause:
    return CompileCause(
        f"the kernel gives {match[2]} to modules under the GPL only, and {match[1]} is not",
        'MODULE_LICENSE("GPL"), if it is',
    )


def _no_licence(match: re.Match[str], _known: _Headers) -> CompileCause:
    source = match[1].rpartition("/")[2].removesuffix(".o")
    return CompileCause(
        f"{source}.c does not say under which licence it is, without which nothing is built",
        'MODULE_LICENSE("GPL");',
    )


def _not_imported(match: re.Match[str], _known: _Headers) -> CompileCause:
    return CompileCause(
        f"{match[2]} belongs to the namespace {match[3]}, which {match[1]} does not import",
        f'MODULE_IMPORT_NS({match[3]}), since Linux 6.13 MODULE_IMPORT_NS("{match[3]}")',
    )


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Headers], CompileCause]], ...] = (
    (_NO_HEADER, lambda match, known: _header(match[1], known)),
    (_MEMBER, lambda match, known: _member(match[1] or match[2], match[3], known)),
    (_UNKNOWN, lambda match, known: _name(match[1] or match[2], known)),
    (_ARGUMENTS, lambda match, known: _signature(match[1], known)),
    (_MACRO_ARGUMENTS, lambda match, known: _signature(match[1], known)),
    (_UNDEFINED, lambda match, known: _undefined(match[1], match[2], known)),
    (_GPL, _gpl_only),
    (_NO_LICENCE, _no_licence),
    (_NAMESPACE, _not_imported),
    (_NO_RULE, lambda match, _known: _no_rule(match[1], match[2])),
)
