"""The one entry: finds the command, runs it, turns errors into a line and an exit status.

Exit status: 0 done, 1 the thing asked for failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

from lkm.cli import registry
from lkm.errors import LkmError, ToolError, UsageError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Run ``argv`` (program name first) and return the exit status."""
    _open_standard_files()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names and options come from files as bytes of any encoding, and leave as they came.
        codecs.register_error("lkm", _encoded)
        sys.stdout.reconfigure(errors="lkm")
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep the interpreter from flushing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130
    except LkmError as error:
        if isinstance(error, ToolError) and error.output:
            _report(error.output.rstrip("\n"), "")
        _report(f"lkm: {error}", error.hint)
        _report_log(error)
        return 2 if isinstance(error, UsageError) else 1
    except MemoryError:
        _report("lkm: there is not enough memory for this", "a file may be larger than it should")
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _report(f"lkm: {name}{error.strerror or error}", "")
        return 1


def _open_standard_files() -> None:
    """Have something open as input, output and errors: else the next file would be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has None for what was closed when it started.
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end


def _encoded(error: UnicodeError) -> tuple[bytes, int]:
    """Return what is written for text that the locale has not: bytes as they came, else \\uXXXX."""
    assert isinstance(error, UnicodeEncodeError)
    written = b""
    for character in error.object[error.start : error.end]:
        number = ord(character)
        if 0xDC80 <= number <= 0xDCFF:
            written += bytes([number - 0xDC00])
        else:
            written += b"\\u%04x" % number if number < 1 << 16 else b"\\U%08x" % number
    return written, error.end


def _dispatch(argv: Sequence[str]) -> int:
    program = os.path.basename(argv[0])
    argv = _kernel_first(argv)
    if program in registry.OWN_PARSERS:
        return _run_tool(program, argv[1:])
    if len(argv) > 1 and argv[1] in registry.OWN_PARSERS:
        return _run_tool(argv[1], argv[2:])
    from lkm.cli.group import main_group  # click costs 25 ms, which the kmod tools need not pay
    from lkm.cli.text import InertOutput

    stdout = sys.stdout
    sys.stdout = InertOutput(stdout)
    try:
        return main_group(argv[1:])
    finally:
        sys.stdout = stdout


def _kernel_first(argv: Sequence[str]) -> Sequence[str]:
    """Let ``lkm --kernel WHERE VERB …`` mean ``lkm VERB --kernel WHERE …``."""
    words = list(argv)
    if len(words) > 1 and words[1].startswith("--kernel="):
        words[1:2] = words[1].split("=", 1)
    if len(words) > 3 and words[1] == "--kernel":
        words = [words[0], words[3], *words[1:3], *words[4:]]
    return words


def _run_tool(name: str, arguments: Sequence[str]) -> int:
    folder = "kmod_tools." if name in registry.KMOD_TOOLS else ""
    place = f"lkm.cli.commands.{folder}{name}"
    module = __import__(place, fromlist=["run"])  # importlib costs 1 ms
    status: int = module.run(list(arguments))
    return status


def _report_log(error: LkmError) -> None:
    """Show what a kernel said last, which is all that is left of one that died."""
    for line in getattr(error, "log", ()):
        _print_error(f"kernel: {line}")


def _report(message: str, hint: str) -> None:
    sys.stdout.flush()
    _print_error(message)
    if hint:
        _print_error(f"hint: {hint}")


def _print_error(text: str) -> None:
    from lkm.cli.text import inert  # only where something is wrong

    print(inert(text), file=sys.stderr)
