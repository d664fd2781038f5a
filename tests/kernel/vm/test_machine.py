"""A real kernel in QEMU: its life, its death, its programs."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest, store
from lkm.kernel.vm.accelerator import choose_accelerator
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from lkm.kernel.vm.profile import cache_key
from tests.support.kernels import KernelFiles

PYTHON = guest.interpreter()


@pytest.fixture
def opened(kernel: KernelFiles) -> Iterator[Kernel]:
    with open_kernel(f"vm:{kernel.release}") as opened:
        yield opened


@pytest.fixture
def machine(opened: Kernel) -> VirtualMachine:
    return virtual_machine(opened.syscalls)


def _python(machine: VirtualMachine, code: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    done = machine.run(PYTHON, "-ISc", code, stdin=stdin)
    return done.status, done.stdout, done.stderr


def test_identity(opened: Kernel, kernel: KernelFiles) -> None:
    assert opened.release == kernel.release
    assert opened.name == f"vm:{kernel.release}"
    assert opened.taint() == 0
    assert opened.syscalls.shares_host_files is False
    log = opened.log()
    assert log[0].text.startswith("Linux version " + kernel.release)
    assert [record.sequence for record in log] == list(range(len(log)))


def test_files(opened: Kernel, machine: VirtualMachine, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "tool").write_bytes(b"\0\xff" * 300_000)
    (tmp_path / "a" / "b" / "tool").chmod(0o750)
    machine.push(tmp_path / "a", "/srv/x")
    assert opened.read_file("/srv/x/b/tool") == b"\0\xff" * 300_000
    assert stat.S_IMODE(opened.stat("/srv/x/b/tool").mode) == 0o750
    assert opened.stat("/dev/null").rdev == (1, 3)
    with pytest.raises(OSError, match="absent") as caught:
        opened.read_file("/srv/absent")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "/srv/absent")


def test_programs(machine: VirtualMachine) -> None:
    status, out, err = _python(
        machine,
        "import sys; d = sys.stdin.read(); print(len(d)); print('e', file=sys.stderr); sys.exit(3)",
        b"x" * 500_000,
    )
    assert (status, out, err) == (3, b"500000\n", b"e\n")
    assert _python(machine, "import os; os.kill(os.getpid(), 9)")[0] == 128 + signal.SIGKILL
    missing = machine.run("/no/such/program")
    assert (missing.status, missing.stderr) == (
        127,
        b"/no/such/program: No such file or directory\n",
    )


def test_program_on_a_terminal(machine: VirtualMachine) -> None:
    code = "import os, sys; print(os.isatty(0), os.get_terminal_size()); input(); sys.exit(5)"
    handle = machine.spawn(PYTHON, "-ISc", code, terminal=(33, 101))
    output, status = b"", None
    data: bytes | None = b"\n"
    while status is None:
        piece, _, status = machine.exchange(handle, data)
        output += piece
        data = b""
    assert status == 5
    assert b"True os.terminal_size(columns=101, lines=33)" in output


def test_panic(opened: Kernel) -> None:
    with pytest.raises(KernelDiedError) as caught:
        opened.write_file("/proc/sysrq-trigger", "c")
    assert caught.value.reason == "the kernel panicked"
    assert any("sysrq triggered crash" in line for line in caught.value.log)
    with pytest.raises(KernelDiedError):
        opened.taint()


def test_hang(machine: VirtualMachine) -> None:
    # The agent reads a terminal that nobody writes to: nothing answers, as in a guest that spins.
    terminal = machine.open("/dev/ptmx", os.O_RDWR)
    with pytest.raises(KernelDiedError) as caught:
        machine.connection.request("read", terminal, 1, limit=0.5)
    assert caught.value.reason == "the kernel does not answer"
    assert any("NMI" in line for line in caught.value.log)
    assert machine.connection.process.has_ended() or not _alive(machine)


def _alive(machine: VirtualMachine) -> bool:
    return Path(f"/proc/{machine.connection.process.pid}").exists()


def test_killed_machine(opened: Kernel, machine: VirtualMachine) -> None:
    os.kill(machine.connection.process.pid, signal.SIGKILL)
    with pytest.raises(KernelDiedError):
        opened.taint()


def test_two_processors(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}", cpus=2, memory=320) as opened:
        assert opened.read_text("/proc/cpuinfo").count("processor") == 2
        kilobytes = int(opened.read_text("/proc/meminfo").split()[1])
        assert 250_000 < kilobytes < 320 * 1024


def test_command_line_is_a_profile_of_its_own(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}", command_line="module.sig_enforce=1") as opened:
        assert opened.read_text("/sys/module/module/parameters/sig_enforce") == "Y\n"
        with pytest.raises(KernelError) as caught:
            opened.load(b"\x7fELF" + bytes(100))
    assert caught.value.errno in (errno.ENOEXEC, errno.EKEYREJECTED)


def test_damaged_snapshot_is_made_anew(
    kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        profile = virtual_machine(opened.syscalls).profile
    key = cache_key(profile, choose_accelerator(), guest.identity())
    originals = {path: store.folder() / path for path in (f"{key}.json", f"{key}.ram")}
    state = (store.folder() / f"{key}.state").read_bytes()
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    for name, original in originals.items():
        os.link(original, tmp_path / name)
    (tmp_path / f"{key}.state").write_bytes(state[: len(state) // 2])
    assert store.open_entry(key) is None
    (tmp_path / f"{key}.state").write_bytes(bytes(len(state)))
    with open_kernel(f"vm:{kernel.release}") as opened:
        assert opened.taint() == 0
    assert (tmp_path / f"{key}.state").read_bytes()[:4] == state[:4]


CHILD = """
import os, signal, sys, time
from lkm.kernel.open import open_kernel
kernel = open_kernel(sys.argv[1])
print(kernel.syscalls.connection.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind(kernel: KernelFiles, number: signal.Signals) -> None:
    command = [sys.executable, "-c", CHILD, f"vm:{kernel.release}"]
    before = set(store.folder().iterdir())
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout
    with child.stdout as output:
        qemu = int(output.readline())
    child.send_signal(number)
    child.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{qemu}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{qemu}").exists()
    assert not {path for path in set(store.folder().iterdir()) - before if path.name[0] == "."}
