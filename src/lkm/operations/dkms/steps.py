"""Commands that dkms announces, runs and logs: patches, scripts, make, depmod.

Source: dkms's ``invoke_command`` and ``run_build_script``.
"""

from __future__ import annotations

import os
import subprocess
import time

from lkm.build.dkms_shell import quoted
from lkm.operations.dkms.reporting import ScriptFailure, warn

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lkm.build.dkms_tree import Package
    from lkm.operations.dkms.reporting import Reporter
    from lkm.operations.dkms.session import DkmsSession

    Function = Callable[[], int]

_DOT_SECONDS = 3.0
_RULE = "-" * 64
_DROPPED = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")


class Announced:
    """The line of a step: its description, then how it ended."""

    def __init__(self, session: DkmsSession, command: str, description: str) -> None:
        self._reporter = session.reporter
        self._verbose = session.settings.verbose
        self._command = command
        if self._verbose:
            self._reporter.say(_escaped(command))
        else:
            self._reporter.say(f"{description}...", end="")

    def end(self, status: int) -> None:
        """Say how the step ended."""
        if status == 0:
            self._reporter.say(" done.")
            return
        self._reporter.say(f"(bad exit status: {status})", end="")
        if not self._verbose:
            self._reporter.say(f"\nFailed command:\n{self._command}")


def call(session: DkmsSession, function: Function, name: str, description: str) -> int:
    """Run a function of ours where dkms runs a command; return its exit status."""
    line = Announced(session, name, description)
    status = function()
    line.end(status)
    return status


def shell(
    session: DkmsSession,
    command: str,
    description: str,
    *,
    log: str,
    cwd: str,
    env: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
    dots: bool = True,
) -> int:
    """Run a shell command into a log file; return its exit status.

    ``variables`` are visible to the command without being exported. While it runs, a dot is said
    every three seconds if ``dots``.
    """
    line = Announced(session, command, description)
    started = time.monotonic()
    settings = "".join(f"{name}={quoted(value)}\n" for name, value in (variables or {}).items())
    script = f"{settings}( eval {quoted(command)} )"
    words = ["bash", "--norc", "--noprofile", "-c", script, "dkms"]
    with open(log, "a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"\n{_escaped(description)}\n# command: {_escaped(command)}\n")
        file.flush()
        if session.settings.sandbox:
            words, env = _confined(session, words, cwd, env)
        process = subprocess.Popen(words, cwd=cwd, env=env, stdout=file, stderr=file)
        status = _wait(session, process, dots=dots)
        elapsed = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - started))
        file.write(f"\n# exit code: {status}\n# elapsed time: {elapsed}\n{_RULE}\n")
    line.end(status)
    return status


def _confined(
    session: DkmsSession, words: list[str], folder: str, env: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return a command that can write its own folder only, temporary files included."""
    from lkm.build import sandbox  # only when asked for

    settings = session.settings
    temporary = f"{folder}/.tmp"
    os.makedirs(temporary, exist_ok=True)
    readable = (settings.source_tree, settings.install_tree, settings.kernel_source)
    headers = os.path.realpath(settings.kernel_source or settings.install_tree)
    command = sandbox.wrapped(words, writable=(folder,), readable=(*readable, headers))
    return command, {**env, "TMPDIR": temporary}


def _wait(session: DkmsSession, process: subprocess.Popen[bytes], *, dots: bool) -> int:
    """Wait for a command, with a dot every three seconds; return its status."""
    try:
        while True:
            try:
                return _status(process.wait(_DOT_SECONDS if dots else None))
            except subprocess.TimeoutExpired:
                if not session.settings.verbose:
                    session.reporter.say(".", end="")
    except BaseException:
        process.kill()
        process.wait()
        raise


def _status(returncode: int) -> int:
    """Return the status as a shell has it, where signal N is 128 + N."""
    return returncode if returncode >= 0 else 128 - returncode


def build_environment(session: DkmsSession, compilers: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a build: the user's without compiler flags, the kernel's tools."""
    env = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    env.update(compilers)
    path = session.settings.framework.get("build_environment", "")
    if path and os.path.isfile(path):
        script = f". {quoted(path)} >/dev/null 2>&1; env -0"
        done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, check=False)
        pairs = (os.fsdecode(entry).partition("=") for entry in done.stdout.split(b"\0"))
        env.update({name: value for name, _, value in pairs if name and name != "_"})
    return env


def run_script(
    session: DkmsSession,
    package: Package,
    kind: str,
    script: str,
    *,
    log: str = "",
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a package's script if it has one of that kind; return its exit status.

    ``/etc/dkms/MODULE/SCRIPT`` takes its place. With a ``log``, a failure raises
    ``ScriptFailure``.
    """
    if not script:
        return 0
    tree, reporter = session.tree, session.reporter
    folder = tree.build_folder(package) if log else tree.source(package)
    words = script.split()
    own = f"{session.settings.etc}/{package.module}/{words[0]}"
    program = own if os.path.isfile(own) else f"{folder}/{words[0]}"
    if not os.access(program, os.X_OK):
        reporter.say("")
        warn(reporter, f"The {kind} script is not executable.")
        return 0
    env = dict(env or build_environment(session, {}))
    if not log:
        reporter.say(f"Running the {kind} script:")
        return _status(_program(reporter, [program, *words[1:]], folder, env))
    command = f"cd {folder}/ && {' '.join([program, *words[1:]])}"
    status = shell(session, command, f"Running the {kind} script", log=log, cwd=folder, env=env)
    if status:
        reporter.say(f"Consult {log} for more information.")
        raise ScriptFailure(status)
    return 0


def _program(reporter: Reporter, command: list[str], cwd: str, env: Mapping[str, str]) -> int:
    try:
        return reporter.run(command, cwd, env)
    except OSError as error:
        reporter.complain(f"{command[0]}: {error.strerror}")
        return 126


def _escaped(text: str) -> str:
    """Return ``text`` with the escapes that ``echo -e`` knows carried out."""
    if "\\" not in text:
        return text
    for written, meant in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(written, meant)
    return text
