"""Help, manual pages and shell completion, all from the definitions that parse the options."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lkm.cli import registry
from tests.support.kernels import KernelFiles
from tests.support.tools import lkm

PROGRAM = Path(sys.executable).parent / "lkm"


@pytest.mark.parametrize("verb", registry.names())
def test_every_command_has_help_and_a_manual_page(verb: str) -> None:
    status, shown, errors = lkm("help", verb)
    assert (status, errors) == (0, b"")
    assert b"Usage:" in shown
    status, page, _ = lkm("help", "--man", verb)
    assert status == 0
    formatted = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou"], input=page, capture_output=True, check=True
    )
    assert formatted.stderr == b""
    text = " ".join(formatted.stdout.decode().split())
    assert f"lkm-{verb} - " in text
    assert "SYNOPSIS" in text


def test_each_command_shows_examples_that_name_it() -> None:
    for verb in registry.names():
        shown = lkm("help", verb)[1].decode()
        _, found, after = shown.lower().partition("examples")
        assert found, verb
        assert f"lkm {verb}" in after, verb


def test_commands_are_listed_by_purpose_each_once() -> None:
    shown = lkm("--help")[1].decode()
    assert "Write and try a module:" in shown
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert sorted(set(listed) & set(registry.names())) == registry.names()


def test_a_mistyped_command_is_suggested() -> None:
    status, _, errors = lkm("modporbe", "loop")
    assert status == 2
    assert b"Did you mean modprobe" in errors


def test_help_of_a_tool_is_what_the_tool_prints() -> None:
    assert lkm("help", "modinfo") == lkm("modinfo", "--help")
    assert b"-F, --field=FIELD" in lkm("help", "modinfo")[1]


def test_help_of_a_subcommand() -> None:
    assert lkm("help", "kernels", "fetch") == lkm("kernels", "fetch", "--help")


def test_help_of_nothing_known() -> None:
    status, _, errors = lkm("help", "nosuch")
    assert status == 2
    assert b"lkm has no command 'nosuch'" in errors


def completed(line: str) -> set[str]:
    words = line.split(" ")
    script = (
        f'eval "$({PROGRAM} completion bash)"; COMP_WORDS=({line}); '
        f"[ {len(words)} -gt ${{#COMP_WORDS[@]}} ] && COMP_WORDS+=('');"
        f'COMP_CWORD={len(words) - 1}; _lkm_completion lkm; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={"PATH": path}
    )
    return set(result.stdout.split())


def test_completion_in_bash() -> None:
    assert {"modinfo", "modprobe"} <= completed("lkm mod")
    assert completed("lkm modinfo --fi") == {"--field", "--filename"}
    assert {"--parameters"} == completed("lkm modinfo --para")
    assert completed("lkm modinfo -F ve") == {"vermagic", "version"}
    assert {"fetch", "remove"} <= completed("lkm kernels ")
    assert "--available" in completed("lkm kernels --")


def test_completion_of_kernels(kernel: KernelFiles) -> None:
    assert f"emulated:{kernel.release}" in completed("lkm try --kernel emulated:6")
    assert kernel.release in completed("lkm matrix --kernels 6.1")


def test_completion_scripts_for_every_shell() -> None:
    for shell in "bash", "zsh", "fish":
        status, script, _ = lkm("completion", shell)
        assert status == 0
        assert b"_LKM_COMPLETE" in script
