"""Runs every console transcript of the README and the tour, and compares what comes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm import files
from tests.docs.console import Transcript, pattern, transcripts
from tests.support.kernels import KernelFiles

TOP = Path(__file__).parents[2]
PAGES = ("README.md", "docs/tour.md")


class Session:
    """One shell in one folder: a page's commands build on each other, as they do for a reader."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Return what the command prints on both streams."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        end = "=== end of the command ==="
        self.shell.stdin.write(f"{{ {command}\n}} </dev/null; printf '%s\\n' '{end}'\n")
        self.shell.stdin.flush()
        lines: list[str] = []
        for line in self.shell.stdout:
            text, found, _ = line.partition(end)
            if found:
                # A command whose last line has no newline still shows as a line.
                return "".join([*lines, f"{text}\n" if text else ""])
            lines.append(line)
        raise AssertionError("the shell ended: " + "".join(lines))

    def close(self) -> None:
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.close()
        self.shell.stdout.close()
        self.shell.wait()


@pytest.fixture
def session(
    request: pytest.FixtureRequest, tmp_path: Path, kernel: KernelFiles
) -> Iterator[Session]:
    """A shell in a copy of what a checkout has, with only the one kernel known."""
    cache = tmp_path / "cache" / "lkm"
    (cache / "kernels").mkdir(parents=True)
    (cache / "kernels" / kernel.release).symlink_to(kernel.root)
    for name in ("vmlinux", "emulated", "vm"):
        (cache / name).symlink_to(files.cache_directory(name))
    folder = tmp_path / "lkm"
    folder.mkdir()
    shutil.copytree(TOP / "examples", folder / "examples")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(cache.parent),
        "HOME": str(tmp_path),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }
    shell = Session(folder, environment)
    yield shell
    shell.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_really_happens(page: str, session: Session) -> None:
    blocks = transcripts(TOP / page)
    assert blocks, f"{page} has no console transcript"
    differences = [text for block in blocks for text in _differences(block, session)]
    assert not differences, "\n\n".join(differences)


def _differences(block: Transcript, session: Session) -> list[str]:
    found = []
    for step in block.steps:
        output = session.run(step.command)
        if not pattern(step.expected).fullmatch(output):
            expected = "\n".join(step.expected)
            found.append(
                f"{block.path}:{step.line}: $ {step.command}\n-- the page says\n{expected}\n"
                f"-- it printed\n{output}"
            )
    return found
