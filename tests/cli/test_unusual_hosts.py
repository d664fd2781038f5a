"""Commands on hosts where something is missing: standard files, a locale, room, a cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modules import built

LKM = [sys.executable, "-m", "lkm"]


def run(*words: object, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run lkm with the redirections in ``shell``."""
    command = ["sh", "-c", f'"$@" {shell}', "sh", *LKM, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [("taint", 4096), ("modinfo", built("good")), ("kernels",)])
def test_closed_standard_files(words: tuple[object, ...], closed: str) -> None:
    done = run(*words, shell=closed)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("words", [("taint", 4096), ("modinfo", built("good"))])
def test_a_full_disk_is_said(words: tuple[object, ...]) -> None:
    done = run(*words, shell=">/dev/full")
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_a_locale_without_the_characters(locale: str) -> None:
    setting = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    setting["PYTHONIOENCODING"] = "ascii"
    done = run("inspect", built("good"), **setting)
    assert (done.returncode, done.stderr) == (0, b"")
    done.stdout.decode("ascii")
    assert json.loads(run("inspect", "--json", built("good"), **setting).stdout)


@pytest.mark.parametrize("home", ["/nonexistent/home", "/proc"])
def test_without_a_home(home: str) -> None:
    environment = {"HOME": home, "XDG_CACHE_HOME": ""}
    assert run("inspect", built("good"), **environment).returncode == 0
    done = run("kernels", **environment)
    assert b"Traceback" not in done.stderr


def test_files_are_looked_at_first(tmp_path: Path) -> None:
    done = run("sign", "--key", "none", "--cert", "none", tmp_path / "none.ko")
    assert b"none.ko: No such file" in done.stderr
    done = run("verify", tmp_path / "none.ko")
    assert b"none.ko: No such file" in done.stderr
