"""The doctor's commands as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import kernel_files
from tests.support.modules import built

RELEASE = kernel_files().release
DATA = Path(__file__).parent.parent / "doctor/data"


def lkm(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lkm", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_a_module_that_loads() -> None:
    done = lkm("doctor", built("hello"), "--release", RELEASE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{built('hello')} loads into {RELEASE}")


def test_all_shows_what_it_passed() -> None:
    done = lkm("doctor", built("hello"), "--release", RELEASE, "--all")
    assert "passed permission, file, " in done.stdout
    assert "taints the kernel (O)" in done.stdout


def test_a_module_that_does_not_says_verdict_cause_evidence_and_fix() -> None:
    done = lkm("doctor", built("params"), "an_int=abc", "--release", RELEASE)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{built('params')} will not load into {RELEASE}")
    assert "refused: 'abc' is no value for the parameter an_int (int)" in lines
    assert "  errno     EINVAL" in lines
    assert "  log       params: `abc' invalid for parameter `an_int'" in lines
    assert "      modinfo -p params" in lines


def test_json_has_the_same() -> None:
    done = lkm("doctor", built("params"), "an_int=abc", "--release", RELEASE, "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == "lkm.doctor/1"
    assert not document["examination"]["loads"]
    assert document["examination"]["decisive"]["name"] == "bad-parameter"


def test_a_missing_symbol_says_who_has_it() -> None:
    done = lkm("doctor", "loop", "--release", "6.1.0-47-amd64")
    assert done.returncode == 0
    path = kernel_files("6.12.").modules.rglob("loop.ko*")
    done = lkm("doctor", next(path), "--release", RELEASE)
    assert done.returncode == 1
    assert "__list_add_valid_or_report" in done.stdout
    assert "exported in" in done.stdout
    assert "6.12" in done.stdout
    assert "likewise" in done.stdout  # one cause once, the other symbols named


def test_a_name_is_judged_with_what_it_needs() -> None:
    done = lkm("doctor", "btrfs", "--release", RELEASE, "--json")
    steps = json.loads(done.stdout)["examination"]["steps"]
    assert [step["module"] for step in steps][-1] == "btrfs"
    assert {"raid6_pq", "xor"} <= {step["module"] for step in steps}


def test_a_name_nobody_has() -> None:
    done = lkm("doctor", "e1000x", "--release", RELEASE)
    assert done.returncode == 1
    assert "there is no module e1000x" in done.stdout
    assert "e1000" in done.stdout.split("names like it")[1]


def test_wrong_use() -> None:
    assert lkm("doctor").returncode == 2
    assert lkm("doctor", "/nowhere/x.ko", "--release", RELEASE).returncode == 1
    done = lkm("doctor", built("hello"), "--release", "9.9.9")
    assert done.returncode == 1
    assert "lkm kernels fetch 9.9.9" in done.stderr


def test_an_inventory_is_asked_elsewhere(tmp_path: Path) -> None:
    done = lkm("inventory", "--release", RELEASE)
    assert done.returncode == 0
    path = tmp_path / "host.json"
    path.write_text(done.stdout)
    asked = lkm("doctor", built("unknown_symbol"), "--inventory", path)
    assert asked.returncode == 1
    assert "lkm_test_nowhere" in asked.stdout


def test_a_pasted_error() -> None:
    text = "modprobe: ERROR: could not insert 'vboxdrv': Required key not available\n"
    done = lkm("doctor", "--log", "-", stdin=text)
    assert done.returncode == 1
    assert "signed modules only" in done.stdout
    assert "lkm mok enroll" in done.stdout
    assert lkm("doctor", "--log", "-", stdin="all is well\n").returncode == 0


def test_a_pasted_error_is_settled_by_the_module_itself() -> None:
    text = "insmod: ERROR: could not insert module nosuch_module.ko: Invalid module format\n"
    done = lkm("doctor", "--log", "-", "--release", RELEASE, stdin=text)
    assert "which" in done.stdout  # not known here: the log must tell


def test_an_oops_in_a_file() -> None:
    done = lkm("oops", DATA / "oops-6.1.txt")
    assert done.returncode == 1
    assert "wrote to address 0: a pointer was NULL" in done.stdout
    assert "oopsinit: the fault is in its own code" in done.stdout
    assert "taint O   out-of-tree module" in done.stdout
    document = json.loads(lkm("oops", DATA / "syslog.txt", "--json").stdout)
    assert document["reports"][0]["suspect"]["module"] == "ring_dev"
    assert lkm("oops", "-", stdin="quiet\n").returncode == 0


@pytest.mark.parametrize("kernel", ["emulated", "emulated:6.1.0-56-amd64"])
def test_a_refused_load_prints_the_first_finding(kernel: str) -> None:
    done = lkm("insmod", "--kernel", kernel, built("unknown_symbol"))
    assert done.returncode == 1
    assert done.stdout == ""
    first, *_, cause = done.stderr.splitlines()
    assert first.startswith("insmod: ERROR: could not insert module")
    assert cause.startswith("doctor: ")
    assert "lkm_test_nowhere" in cause


def test_modprobe_prints_it_too() -> None:
    done = lkm("modprobe", "--kernel", f"emulated:{RELEASE}", "loop", "max_loop=many")
    if done.returncode == 0:
        pytest.fail("loop took a word for a number")
    assert "doctor: 'many' is no value for the parameter max_loop" in done.stderr


def test_dyndbg_lists_and_gives_the_option() -> None:
    done = lkm("dyndbg", "main", "--func", "move_module", "--kernel", f"emulated:{RELEASE}")
    assert done.returncode == 0
    assert "kernel/module/main.c:" in done.stdout
    option = lkm("dyndbg", "loop", "--func", "lo_*", "--set", "+pf", "--at-load")
    assert option.stdout == 'dyndbg="func lo_* +pf"\n'
    assert lkm("dyndbg", "--at-load").returncode == 2
