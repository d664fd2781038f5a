"""The commands on a kernel, each a run of its own on a fresh emulated one."""

from __future__ import annotations

import json

import pytest

from lkm.cli.main import run
from tests.support.kernels import KernelFiles
from tests.support.modules import built


@pytest.fixture
def where(kernel: KernelFiles) -> str:
    return f"emulated:{kernel.release}"


def lkm(*arguments: str) -> int:
    return run(["lkm", *arguments])


def test_insmod(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("insmod", "--kernel", where, str(built("hello"))) == 0
    assert capsys.readouterr().out == ""
    assert lkm("insmod", "--json", "--kernel", where, str(built("params")), "an_int=3") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lkm.insmod/1"
    assert document["kernel"] == where
    assert document["module"]["name"] == "params"


def test_insmod_without_a_release_takes_that_of_the_module(
    kernel: KernelFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lkm("insmod", "--json", "--kernel", "emulated", str(built("hello"))) == 0
    assert json.loads(capsys.readouterr().out)["kernel"] == f"emulated:{kernel.release}"


def test_refusal_shows_kmods_line_then_the_kernels(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(built("params"))
    assert lkm("insmod", "--kernel", where, path, "an_int=x") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"insmod: ERROR: could not insert module {path}: Invalid parameters"
    assert "kernel: params: `x' invalid for parameter `an_int'" in lines


def test_oops_is_told(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("insmod", "--kernel", where, str(built("oops"))) == 1
    shown = capsys.readouterr().err
    assert "killed by SIGKILL" in shown
    assert "kernel: BUG: kernel NULL pointer dereference" in shown


def test_rmmod(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("rmmod", "--kernel", where, "hello", "--json") == 1
    captured = capsys.readouterr()
    assert captured.err == "rmmod: ERROR: Module hello is not currently loaded\n"
    assert json.loads(captured.out)["problems"][0]["obstacle"] == "not loaded"


def test_taint(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("taint", "--kernel", where) == 0
    assert capsys.readouterr().out == "not tainted\n"
    assert lkm("taint", "0x3001") == 0
    assert capsys.readouterr().out.startswith("12289 = POE\n  bit 0  P  proprietary module")
    assert lkm("taint", "(OE)", "--json") == 0
    assert json.loads(capsys.readouterr().out)["report"]["value"] == 12288
    for wrong in ("xyz", "-5", str(1 << 64), ""):
        assert lkm("taint", "--", wrong) == 2


def test_log(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("log", "--kernel", where, "--level", "notice") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert " kern   notice  Linux version 6.1." in first
    assert lkm("log", "--kernel", where, "--module", "no_such_module", "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == []


def test_state(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("state", "--kernel", where, "printk") == 0
    assert "state:       builtin" in capsys.readouterr().out
    assert lkm("state", "--kernel", where, "no-such-module") == 1
    assert "no_such_module" in capsys.readouterr().err


def test_param(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("param", "--kernel", where, "printk", "ignore_loglevel=Y", "ignore_loglevel") == 0
    assert capsys.readouterr().out == "Y\n"
    assert lkm("param", "--kernel", where, "printk") == 0
    assert "ignore_loglevel=N  (0644)" in capsys.readouterr().out
    assert lkm("param", "--kernel", where, "printk", "absent=1") == 1
    assert lkm("param", "--kernel", where, "no-such-module") == 1


def test_unknown_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert lkm("taint", "--kernel", "nonsense") == 2
    assert "names no kernel" in capsys.readouterr().err
    assert lkm("--kernel", "vm:0.0.0-none", "log") == 1
    assert "lkm kernels fetch 0.0.0-none" in capsys.readouterr().err
