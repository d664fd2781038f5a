"""`lkm try` as one types it: text, JSON, order of actions, exit status, messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lkm.cli.main import run
from tests.support.modules import built
from tests.support.terminal import in_terminal

EXAMPLES = Path(__file__).parents[2] / "examples"


def lkm(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = run(["lkm", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    actions = ["--write", "/dev/hello=one", "--read", "/dev/hello", "--set", "num=9"]
    actions += ["--read", "num", "--write", "/dev/hello=two", "--read", "/dev/hello"]
    status, out, err = lkm(capsys, "try", EXAMPLES / "hello", "who=me and you", *actions)
    assert (status, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines() if line]
    acted = [f"{row[0]} {row[1]}" for row in rows if row[0] in ("write", "read", "set")]
    assert acted == [
        "write /dev/hello = 'one'",
        "read /dev/hello: one",
        "set num = '9'",
        "read num: 9",
        "write /dev/hello = 'two'",
        "read /dev/hello: two",
    ]
    assert "hello: hello, me and you (num=3, 4 primes)" in out
    assert "not checked: races between processors" in out
    assert out.splitlines()[0] == "good: hello loads and unloads: no problem in what was checked"


def test_json_has_the_events_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = lkm(capsys, "try", built("leak"), "--json", "--trace")
    assert status == 1
    documents = [json.loads(line) for line in out.splitlines()]
    assert {document["schema"] for document in documents} == {"lkm.try/1"}
    names = [document["event"] for document in documents]
    assert names[:2] == ["kernel-chosen", "kernel-ready"]
    assert names[-1] == "finished"
    assert {"logged", "loaded", "state", "bound", "unloaded", "leaked", "called"} <= set(names)
    leaked = documents[names.index("leaked")]
    assert leaked["size"] == 100
    assert "leak.c:" in leaked["place"]["line"]
    assert len(documents[-1]["problems"]) == 1


def test_failing_allocations(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = lkm(capsys, "try", EXAMPLES / "broken", "--fail-alloc", "each")
    assert status == 1
    assert "→ clean error: ENOMEM (Cannot allocate memory)" in out
    assert "→ leak: ENOMEM" in out
    assert "→ crash" in out
    assert "wrote to address 0: a pointer was NULL" in out
    assert "broken.c:38: cache->journal[0]" in out


def test_guard(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = lkm(capsys, "try", built("double_free"), "--guard")
    assert status == 1
    assert "double-free  free at offset 0 of an object of 100 bytes" in out
    assert "double_free.c:" in out
    assert out.startswith("problem: double_free frees the same memory twice\n")


def test_unloading_in_the_order_given(capsys: pytest.CaptureFixture[str]) -> None:
    device = "/dev/hello"
    words = ["--open", device, "--unload", "--close", device, "--unload"]
    run(["lkm", "try", "examples/hello", *words])
    text = capsys.readouterr().out
    refused = text.index("refused  unloading hello: EAGAIN")
    assert refused < text.index("close  /dev/hello") < text.index("unloaded  hello")


def test_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = lkm(capsys, "try", built("hello"), "--sig-enforce")
    assert status == 1
    assert "refused  loading hello.ko: EKEYREJECTED (Key was rejected by service)" in out
    first, cause, *_ = out.splitlines()
    assert first.startswith("refused: the kernel refuses loading hello.ko: EKEYREJECTED")
    assert cause.strip().startswith("because  the module is not signed")


def test_compile_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int x = nothing;\n")
    status, _, err = lkm(capsys, "try", source)
    assert status == 1
    assert f"{source}:1:9: error:" in err
    assert f"lkm: {source} does not compile for kernel " in err
    assert "make " not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "num"], "--set num: expected PARAM=…"),
        (["--write", "/dev/x"], "--write /dev/x: expected PATH=…"),
        (["--fail-alloc", "0"], "--fail-alloc 0: expected a number from 1, or each"),
        (["--fail-alloc", "all"], "expected a number from 1, or each"),
        (["--kernel", "mars"], "'mars' names no kernel"),
        (["--kernel", "vm", "--guard"], "cannot watch the module"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    status, out, err = lkm(capsys, "try", built("hello"), *arguments)
    assert (status, out) == (2, "")
    assert message in err


def test_without_the_emulator_it_says_which_extra() -> None:
    script = (
        "import sys; sys.modules['unicorn'] = None\n"
        "from lkm.cli.main import run\nsys.exit(run(sys.argv))"
    )
    command = [sys.executable, "-c", script, "try", str(built("hello"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hint: pip install 'lkm[emulated]'" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run([*command, "--kernel", "vm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hello: loaded" in done.stdout


@pytest.mark.parametrize(
    ("columns", "plain"), [(60, {}), (80, {"NO_COLOR": "1"}), (200, {"TERM": "dumb"})]
)
def test_lines_fit_the_terminal(columns: int, plain: dict[str, str]) -> None:
    command = [sys.executable, "-m", "lkm", "try", str(built("leak"))]
    environment = {"TERM": "xterm", **os.environ, **plain}
    if not plain:
        environment.pop("NO_COLOR", None)
        environment["TERM"] = "xterm"
    out = in_terminal(command, columns, environment)
    assert ("\x1b[1" in out) == (not plain)
    assert "\x1b" not in out or plain != {"TERM": "dumb"}
    seen = re.sub(r"\x1b\[[0-9;]*[mK]", "", out)
    lines = [line.rpartition("\r")[2] for line in seen.replace("\r\n", "\n").split("\n")]
    assert max(map(len, lines)) <= columns
    assert lines[0] == "problem: leak leaks memory"
    assert any("leak.c:" in line for line in lines)
