"""What a C file typed into the page can reach: nothing that is not its business."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm import landlock
from lkm.operations import examples
from tests.web.serving import RunningServer

_LICENCE = '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n'


@pytest.fixture
def secret() -> Iterator[Path]:
    """Return a file in the home directory that a compiler's message would quote."""
    if not landlock.abi():
        pytest.fail("this kernel has no Landlock (Linux 5.13 and later)", pytrace=False)
    path = Path.home() / f".lkm-web-test-{os.getpid()}.h"
    path.write_text("#error SECRET-42\n", encoding="utf-8")
    yield path
    path.unlink()


@pytest.mark.parametrize(
    "text",
    [
        '#include "{path}"\n',
        '#if __has_include("{path}") || __has_include("/proc/self/root{path}")\n'
        "#error SECRET-42\n#endif\n",
        'asm(".incbin \\"{path}\\"; .include \\"{path}\\"");\n'
        'asm(".incbin \\"/etc/shadow\\"; .incbin \\"/proc/1/environ\\"");\n',
    ],
)
def test_a_source_reads_neither_home_nor_machine(
    running: RunningServer, secret: Path, text: str
) -> None:
    source = {"name": "thief", "text": _LICENCE + text.replace("{path}", str(secret))}
    events = running.run("play", source=source)
    failed = [event for event in events if event["event"] == "run-failed"]
    assert "error: #error" not in str(failed)  # as the secret has it, or the test
    if "incbin" in text:
        output = failed[0]["output"]
        for path in (str(secret), "/etc/shadow", "/proc/1/environ"):
            assert f"file not found: {path}" in output or f"can't open {path}" in output
    elif "__has_include" not in text:
        assert "ermission denied" in failed[0]["output"]


def test_errors_of_the_compiler_have_their_lines(running: RunningServer) -> None:
    source = {"name": "slip", "text": f"{_LICENCE}\nint broken = ;\n"}
    events = running.run("play", source=source)
    failed = next(event for event in events if event["event"] == "run-failed")
    found = [(d["file"], d["line"], d["severity"]) for d in failed["diagnostics"]]
    assert ("slip.c", 4, "error") in found
    assert events[-1]["event"] == "ended"


def test_only_a_plain_name_is_taken(running: RunningServer) -> None:
    for name in ("../x", "Kbuild", "-flag"):
        answer = running.post("/api/run/play", source={"name": name, "text": _LICENCE})
        assert answer.status == 400, name


def test_a_worker_reaches_its_folder_and_the_caches_only(tmp_path: Path) -> None:
    """Asks the confined process itself what it may do."""
    program = f"""
import os, pathlib
from lkm.web import confinement
confinement.confine(pathlib.Path({str(tmp_path)!r}), pathlib.Path({str(examples.folder())!r}))
def may(action):
    try:
        action()
    except OSError:
        return False
    return True
home = pathlib.Path.home()
print(*[may(action) for action in (
    lambda: pathlib.Path({str(tmp_path)!r}, "x").write_text("x"),
    lambda: home.joinpath(".lkm-web-test").write_text("x"),
    lambda: os.listdir(home),
    lambda: open("/etc/shadow").read(),
    lambda: pathlib.Path("/tmp/lkm-web-test").write_text("x"),
    lambda: os.listdir("/proc/1/fd"),
    lambda: __import__("socket").create_connection(("127.0.0.1", 9), 1),
    lambda: open("/usr/bin/env", "rb").read(4),
)])
"""
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == ["True", *["False"] * 6, "True"]
    assert not os.path.exists("/tmp/lkm-web-test")
