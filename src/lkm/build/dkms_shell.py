"""Configuration files of dkms are shell: read by a bash of their own, which only answers values.

dkms sources a file in a subshell, prints its known variables as assignments in double quotes, and
sources those (``safe_source``). Values are therefore expanded twice, blanks in them are squeezed,
and nothing else of the file has an effect. The script below does the same for many files at once,
in one process with a clean environment and a time limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess

from lkm.errors import LkmError, ToolError
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TIME_LIMIT = 60.0
"""Seconds that all files of one call may take together."""

_LARGEST_ANSWER = 1 << 24
_LARGEST_INDEX = 1 << 12
_BATCH = 64
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "LANG", "TZ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Values = dict[str, dict[int, str]]
"""Variables by name, their elements by index; a scalar has index 0."""

_DRIVER = r"""
CR=$'\r'
_values() {
    local _name _index
    for _name in $_names; do
        local -n _array=$_name
        for _index in "${!_array[@]}"; do
            set -- $_name[$_index]=\"${_array[$_index]%$CR}\"
            echo "$@"
        done
        unset -n _array
    done
    for _name in "${!DKMS_DIRECTIVE@}"; do
        _name=${!_name}
        echo "${_name%%=*}=\"${_name#*=}\""
    done
}
_source() { # what a file says, as assignments
    exec 3>&1 >/dev/null
    . "$1"
    exec >&3
    _values
}
_answer() {
    local _name _index
    for _name in $_names; do
        local -n _array=$_name
        for _index in "${!_array[@]}"; do
            printf '%s\0%s\0%s\0' "$_name" "$_index" "${_array[$_index]}"
        done
        unset -n _array
    done
    for _name in $_matched; do # ARRAY:SUBJECT, each element an extended regular expression
        local -n _array=${_name%%:*} _subject=${_name#*:}
        for _index in "${!_array[@]}"; do
            [[ $_subject =~ ${_array[_index]} ]] && printf '=%s\0%s\0\0' "${_name%%:*}" "$_index"
        done
        unset -n _array _subject
    done
}
_read() {
    local _file _name _count=0
    for _file in "$@"; do
        [[ -e $_file ]] || continue
        eval "$(_source "$_file")"
        for _name in $_noted; do
            eval "(( \${#$_name[@]} ))" &&
                printf '@%s\0%s\0%s\0' "$_name" "$_count" "$_file"
        done
        _count=$((_count + 1))
    done
}
"""


class Job(Record):
    """Files to read one after the other, each seeing what those before it set.

    ``visible`` are shell variables that the files may use; ``directives`` are assignments that win
    over all files (``NAME=VALUE``).
    """

    files: tuple[str, ...]
    visible: Mapping[str, str]
    directives: tuple[str, ...] = ()


class ShellAnswer(Record):
    """What a job's files set, and what they or the shell said on standard error.

    ``matches`` are the (array, index) whose expression matches, ``notes`` the (variable, file)
    pairs asked for, in the order of the files.
    """

    values: Values
    complaints: str = ""
    matches: frozenset[tuple[str, int]] = frozenset()
    notes: tuple[tuple[str, str], ...] = ()


class ConfTimeoutError(LkmError):
    """Reading a configuration file took too long."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the clean environment: where programs and the user's home are, and the language."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(("LC_", "DKMS_DIRECTIVE"))
    }
    kept.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    return {**kept, **(extra or {})}


def read(
    jobs: Sequence[Job],
    names: Iterable[str],
    *,
    matched: Mapping[str, str] | None = None,
    noted: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
) -> list[ShellAnswer]:
    """Return what each job's files set of the variables ``names``.

    ``matched`` names arrays of regular expressions, each with the visible variable they are held
    against; ``noted`` are variables of which it is told after which files they were set; ``extra``
    is added to the environment. Raises ``ConfTimeoutError`` and ``ToolError``.
    """
    wanted = " ".join(names)
    pairs = " ".join(f"{name}:{subject}" for name, subject in (matched or {}).items())
    head = [_DRIVER, f"_names={quoted(wanted)}", f"_matched={quoted(pairs)}"]
    head.append(f"_noted={quoted(' '.join(noted))}")
    answers: list[ShellAnswer] = []
    for start in range(0, len(jobs), _BATCH):
        answers += _read_batch(jobs[start : start + _BATCH], head, wanted, environment(extra))
    return answers


def _read_batch(
    jobs: Sequence[Job], head: Sequence[str], names: str, env: dict[str, str]
) -> list[ShellAnswer]:
    script = [*head]
    for job in jobs:
        script += ["(", f"unset {names}"]
        script += [f"{name}={quoted(value)}" for name, value in job.visible.items()]
        script.append(f"_read {' '.join(map(quoted, job.files))}")
        for directive in job.directives:
            name = directive.partition("=")[0]
            if _NAME.fullmatch(name):
                script.append(f"declare -x {quoted(directive)}")
        script += ["_answer", ")", r"printf '\1\0'; printf '\1\n' >&2"]
    out, complaints = _bash("\n".join(script), env, " ".join(jobs[0].files))
    parts = out.split("\1\0")[:-1]
    said = complaints.split("\1\n")
    if len(parts) != len(jobs):
        raise ToolError("bash ended before all configuration files were read", output=complaints)
    return [_answer(part, text) for part, text in zip(parts, said, strict=False)]


def _answer(text: str, complaints: str) -> ShellAnswer:
    values: Values = {}
    matches: set[tuple[str, int]] = set()
    notes: list[tuple[int, str, str]] = []
    words = text.split("\0")
    for name, index, value in zip(words[::3], words[1::3], words[2::3], strict=False):
        if not index.isdigit() or int(index) > _LARGEST_INDEX:
            continue
        if name.startswith("="):
            matches.add((name[1:], int(index)))
        elif name.startswith("@"):
            notes.append((int(index), name[1:], value))
        else:
            values.setdefault(name, {})[int(index)] = value
    return ShellAnswer(
        values, complaints, frozenset(matches), tuple((name, file) for _, name, file in notes)
    )


def _bash(script: str, env: dict[str, str], what: str) -> tuple[str, str]:
    command = ["bash", "--norc", "--noprofile", "-c", script, "dkms"]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(
            f"bash cannot be run ({error.strerror})", hint="dkms.conf is shell: install bash"
        ) from None
    try:
        out, complaints = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise ConfTimeoutError(
            f"{what}: not read within {TIME_LIMIT:.0f} s", hint="a command in it does not end"
        ) from None
    except BaseException:
        _kill(process)
        raise
    if len(out) > _LARGEST_ANSWER:
        raise ToolError(f"{what}: sets {len(out)} bytes of variables")
    return out.decode(errors="surrogateescape"), complaints.decode(errors="surrogateescape")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the shell and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.communicate()


def quoted(text: str) -> str:
    """Return ``text`` as one word of shell."""
    return "'" + text.replace("'", "'\\''") + "'"
