"""``lkm vm`` as a user runs it: whole processes, no terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import KernelFiles

LKM = [sys.executable, "-m", "lkm"]


def lkm(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*LKM, *arguments], input=stdin, capture_output=True, check=False)


def test_run(kernel: KernelFiles, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("read line; echo got $line; echo bad >&2; exit 42\n")
    done = lkm(
        *("vm", "run", "--kernel", kernel.release, "--push", f"{tmp_path}/script:/srv/script"),
        *("--", "sh", "/srv/script"),
        stdin=b"hello\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (42, b"got hello\n", b"bad\n")


def test_run_reports_a_panic(kernel: KernelFiles) -> None:
    done = lkm("vm", "run", "--kernel", kernel.release, "sh", "-c", "echo c > /proc/sysrq-trigger")
    assert done.returncode == 1
    assert b"the kernel panicked" in done.stderr
    assert b"kernel: " in done.stderr
    assert b"sysrq triggered crash" in done.stderr


def test_run_says_what_is_missing(kernel: KernelFiles) -> None:
    absent = lkm("vm", "run", "--kernel", kernel.release, "no-such-program")
    assert absent.returncode == 1
    assert b"no-such-program" in absent.stderr
    wrong = lkm("vm", "run", "--kernel", kernel.release, "--push", "/no/such", "sh")
    assert wrong.returncode == 2
    unknown = lkm("vm", "run", "--kernel", "9.9.9-none", "sh")
    assert b"lkm kernels fetch 9.9.9-none" in unknown.stderr


def test_shell_without_a_terminal(kernel: KernelFiles) -> None:
    done = lkm("vm", "shell", "--kernel", kernel.release, stdin=b"uname -r; exit 3\n")
    assert (done.returncode, done.stdout.decode().strip()) == (3, kernel.release)


def test_python_prompt(kernel: KernelFiles) -> None:
    done = lkm(
        *("vm", "shell", "--python", "--kernel", kernel.release),
        stdin=b"print('taint', kernel.taint())\n",
    )
    assert done.returncode == 0
    assert b"taint 0" in done.stdout


def test_shell_on_a_terminal(kernel: KernelFiles) -> None:
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*LKM, "vm", "shell", "--kernel", kernel.release],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = _until(master, b"#")
    os.write(master, b"echo $((6 * 7)); exit 5\r")
    shown += _until(master, b"")
    assert child.wait() == 5
    assert b"42" in shown
    os.close(master)


def _until(descriptor: int, mark: bytes) -> bytes:
    shown = b""
    while not mark or mark not in shown:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:  # EIO: the other side has gone
            break
        if not piece:
            break
        shown += piece
    return shown


def test_ps_and_kernel_first(kernel: KernelFiles) -> None:
    code = (
        "import sys\nfrom lkm.kernel.open import open_kernel\n"
        "with open_kernel(sys.argv[1]): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, f"vm:{kernel.release}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout
        owner.stdout.readline()
        listed = json.loads(lkm("vm", "ps", "--json").stdout)
        owner.communicate()
    mine = [machine for machine in listed["machines"] if machine["owner"] == owner.pid]
    assert [machine["release"] for machine in mine] == [kernel.release]
    assert mine[0]["memory"] > 1 << 20
    assert any(kernel.release in entry["description"] for entry in listed["snapshots"])
    after = json.loads(lkm("vm", "ps", "--json").stdout)
    assert all(machine["owner"] != owner.pid for machine in after["machines"])
    first = lkm("--kernel", f"vm:{kernel.release}", "param", "printk", "ignore_loglevel")
    assert first.stdout == b"N\n"


def test_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "lkm/vm").mkdir(parents=True)
    (tmp_path / "lkm/vm/abc.ram").write_bytes(bytes(3 << 20))
    done = lkm("vm", "clean")
    assert done.stdout == b"3 MiB freed\n"
    assert [path.name for path in (tmp_path / "lkm/vm").iterdir()] == ["lock"]
