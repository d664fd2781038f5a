"""Package lists of lkm's own for apt: of another architecture, or another suite.

They are kept in lkm's cache, so that the system's are not touched and no root is needed. Another
suite is looked for on the system's own mirrors, and believed by the system's own keys.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from pathlib import Path

from lkm import files
from lkm.errors import NotFoundError, ToolError, UsageError
from lkm.kernels.distributions import apt_sources
from lkm.kernels.distributions.apt_sources import AptSource

_LISTS_LAST = 24 * 3600  # seconds
_NO_RELEASE = re.compile(r"The repository '(\S+) (\S+) Release' (?:does not have|no longer has)")


def options(architecture: str, suite: str | None) -> list[str]:
    """Return apt's options for lists of ``architecture`` in ``suite``, fetched when absent or old.

    ``suite`` may be ``None``, for the system's own. Raises UsageError for what can be no suite,
    NotFoundError when no mirror has it, ToolError when apt fails or does not trust the mirror.
    """
    if suite is not None and not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", suite):
        raise UsageError(f"not the name of a suite: {suite!r}", hint="such as bullseye or trixie")
    state = files.cache_directory("apt", f"{architecture}-{suite}" if suite else architecture)
    sources = apt_sources.of_suite(suite) if suite else ()
    chosen = _options(architecture, state, suite)
    wanted = apt_sources.text(sources) or "the system's"
    with open(state / "updated", "a+", encoding="utf-8") as stamp:
        fcntl.flock(stamp, fcntl.LOCK_EX)  # apt fails rather than waits for its own lock
        stamp.seek(0)
        age = time.time() - os.fstat(stamp.fileno()).st_mtime
        if stamp.read() != wanted or age > _LISTS_LAST:
            stamp.truncate(0)
            _update(chosen, state, suite, sources)
            stamp.write(wanted)  # only now: an update that failed is tried again
            os.utime(stamp.fileno())
    return chosen


def _options(architecture: str, state: Path, suite: str | None) -> list[str]:
    chosen = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Dir::State": str(state),
        "Dir::State::status": "/dev/null",
        "Dir::Cache": str(state),
        "Acquire::Languages": "none",
    }
    if suite:
        chosen |= {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": str(state / "sources"),
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
        }
    return [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]


def _update(
    chosen: list[str], state: Path, suite: str | None, sources: tuple[AptSource, ...]
) -> None:
    for name in ("lists/partial", "archives/partial", "sources"):
        (state / name).mkdir(parents=True, exist_ok=True)
    while True:
        files.write_atomic(state / "sources/lkm.sources", apt_sources.text(sources).encode())
        command = ["apt-get", "-qq", *chosen, "update"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        if not done.returncode:
            return
        # Not every suite has what the system's has beside it (sid has no sid-security).
        absent = {(uri.rstrip("/"), name) for uri, name in _NO_RELEASE.findall(done.stderr)}
        left = tuple(source for source in sources if (source.uri, source.suite) not in absent)
        if left == sources:
            raise ToolError(
                "apt could not update its lists", command=command, returncode=done.returncode,
                output=done.stderr, hint=_advice(done.stderr, suite),
            )  # fmt: skip
        if all(source.suite != suite for source in left):
            raise _no_suite(suite, sources)
        sources = left


def _no_suite(suite: str | None, sources: tuple[AptSource, ...]) -> NotFoundError:
    mirrors = sorted({source.uri for source in sources if source.suite == suite})
    return NotFoundError(
        f"no suite {suite!r} on {', '.join(mirrors)}",
        hint="look for it under dists/ there; an old one may have been moved to the "
        "distribution's archive (Debian's is http://archive.debian.org/debian)",
    )


def _advice(output: str, suite: str | None) -> str:
    """Say what to do about an update that apt refused with ``output``."""
    errors = " ".join(re.findall(r"^[EW]: (.*)", output, re.MULTILINE)) or output.strip()
    if suite and re.search(r"NO_PUBKEY|[Mm]issing key|public key is not available", output):
        return (
            f"the system lacks the key that {suite} is signed with: install a newer "
            f"{apt_sources.keyring_package()} ({errors})"
        )
    if suite and re.search(r"is expired|not valid yet", output):
        return f"the mirror's {suite} is out of date, or this machine's clock is wrong ({errors})"
    return errors
