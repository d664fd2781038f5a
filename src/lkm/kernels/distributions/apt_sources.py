"""Where apt gets its lists from: sources.list(5), both of its formats.

What is read are the system's entries; what is made of them are the same entries with another
suite's name.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lkm.errors import NotFoundError

_ALIASES = {"stable", "oldstable", "oldoldstable", "testing", "unstable", "sid", "devel"}
_ENTRY = re.compile(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One suite of one mirror; ``trust`` are the fields that say whose signature it needs."""

    uri: str
    suite: str
    components: str
    trust: tuple[tuple[str, str], ...]


def of_suite(suite: str) -> tuple[AptSource, ...]:
    """Return the distribution's own entries among the system's, turned to ``suite``.

    With ``bullseye``, ``bookworm`` becomes ``bullseye`` and ``bookworm-security``
    ``bullseye-security``. Raises NotFoundError when none is an entry of the distribution.
    """
    own = _ALIASES | {_os_release().get("VERSION_CODENAME", "")}
    found = []
    for source in system():
        name, hyphen, rest = source.suite.partition("-")
        if name in own:
            found.append(replace(source, suite=suite + hyphen + rest))
    if all(source.suite != suite for source in found):
        raise NotFoundError(
            "no entry of apt's sources names a suite of this distribution to look beside",
            hint="add the distribution's mirror to /etc/apt/sources.list.d, see sources.list(5)",
        )
    return tuple(dict.fromkeys(found))


def system() -> Iterator[AptSource]:
    """Yield the entries for binary packages that the system's apt reads."""
    command = ["apt-config", "shell", "L", "Dir::Etc::sourcelist/f", "P", "Dir::Etc::sourceparts/d"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    main, parts = (Path(path) for path in re.findall(r"^[LP]='(.*)'$", shown, re.MULTILINE))
    for path in (main, *sorted(parts.glob("*.list"))):
        if path.is_file():
            yield from _one_line(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted(parts.glob("*.sources")):
        yield from _deb822(path.read_text(encoding="utf-8", errors="replace"))


def text(sources: tuple[AptSource, ...]) -> str:
    """Return ``sources`` as a file ``*.sources``."""
    return "\n".join(
        f"Types: deb\nURIs: {source.uri}\nSuites: {source.suite}\n"
        f"Components: {source.components}\n"
        + "".join(f"{name}: {value}\n" for name, value in source.trust)
        for source in sources
    )


def keyring_package() -> str:
    """Return the name of the package that holds the distribution's keys."""
    name = _os_release().get("ID", "distribution")
    owners = subprocess.run(
        ["dpkg-query", "-S", f"/usr/share/keyrings/{name}-*"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"^[^\s:]*keyring(?=:)", owners.stdout, re.MULTILINE)
    return found[0] if found else f"{name} keyring package"


def _one_line(content: str) -> Iterator[AptSource]:
    for line in content.splitlines():
        entry = _ENTRY.match(line.strip())
        if entry is None or entry[2].startswith("cdrom:"):
            continue
        settings = dict(word.split("=", 1) for word in (entry[1] or "").split() if "=" in word)
        trust = tuple(
            (field, settings[name].replace(",", " "))
            for name, field in (("signed-by", "Signed-By"), ("trusted", "Trusted"))
            if name in settings
        )
        yield AptSource(entry[2].rstrip("/"), entry[3], " ".join(entry[4].split()), trust)


def _deb822(content: str) -> Iterator[AptSource]:
    kept = "\n".join(line for line in content.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"^(\S+):(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            yield from _stanza(fields)


def _stanza(fields: Mapping[str, str]) -> Iterator[AptSource]:
    trust = tuple(
        (name, fields[name.lower()]) for name in ("Signed-By", "Trusted") if name.lower() in fields
    )
    components = " ".join(fields.get("components", "").split())
    for uri in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            if not uri.startswith("cdrom:"):
                yield AptSource(uri.rstrip("/"), suite, components, trust)


def _os_release() -> dict[str, str]:
    """Return the fields of os-release(5)."""
    import platform  # 10 ms that other commands can spare

    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
