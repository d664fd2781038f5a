"""46 scenarios recorded on the same kernel under QEMU, replayed step by step.

``tests/data/load-scenarios.json`` has for each step what the kernel answered and what it logged.
Results, file contents and taint are equal in all of them; so are the log lines, but for

- what names the machine: registers and machine code in an oops, "Hardware name", the PGD walk of a
  fault, the list of modules (QEMU's agent needed virtio), process numbers;
- "exited with irqs disabled": with SMAP, which the recording's processor had not, the kernel does
  not enable interrupts before an oops (``arch/x86/mm/fault.c: do_user_addr_fault``);
- frames of a trace marked "?" (leftovers on the stack), and those at the system-call entry, which
  the recording's C library entered as finit_module and we, without flags, as init_module;
- where our modules' own source differs: function names and offsets in them, file and line.
"""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from lkm.errors import KernelDiedError
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from lkm.kernel.log_reader import LogWatch
from lkm.kernel.syscalls import SyscallOutcome
from tests.support.kernels import kernel_files
from tests.support.scenario_modules import ScenarioModules

Step = dict[str, Any]
SCENARIOS = json.loads((Path(__file__).parents[2] / "data/load-scenarios.json").read_text())
BOOT = {
    "plain": (),
    "sig_enforce": (("/sys/module/module/parameters/sig_enforce", "1"),),
    "lockdown": (("/sys/kernel/security/lockdown", "integrity"),),
}
LONG = "x" * 1100
LOOP_SET_FD, LOOP_CLR_FD = 0x4C00, 0x4C01

PASSED_OVER = re.compile(
    r"(<\d>)?(R[A-Z0-9]{2}: |RIP: 0033|RSP: |Code: |FS:  |CS:  |CR2: |Hardware name|PGD "
    r"|Modules linked in| \? | __do_sys_| do_syscall_64|  *entry_SYSCALL|---\[ end Kernel panic"
    r"|Kernel Offset: |(<\d>)?note: \w+\[\d+\] exited with irqs disabled)"
)
REPLACED = (
    (re.compile(r"\\x0a.*|\n.*", re.DOTALL), ""),
    (re.compile(r"\bPID: \d+"), "PID: N"),
    (re.compile(r"at \S*/oopsinit\.c:\d+"), "at oopsinit.c"),
    (re.compile(r"[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+ \[oopsinit\]"), "PLACE [oopsinit]"),
    (re.compile(r"x{300,}.*"), "LONG"),
)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> ScenarioModules:
    return ScenarioModules(tmp_path_factory.mktemp("keys"), kernel_files())


class Replay:
    """Carries out the steps of one scenario."""

    def __init__(self, machine: EmulatedMachine, modules: ScenarioModules) -> None:
        self.machine = machine
        self.kernel = Kernel(machine)
        self.modules = modules

    def carry_out(self, step: Step) -> None:
        getattr(self, step["do"])(step)

    def load(self, step: Step) -> None:
        image = self.modules[step["file"]]
        self.kernel.write_file("/tmp/module", image, create=True)
        descriptor = self.machine.open("/tmp/module", os.O_RDONLY)
        parameters = step["parameters"].replace("LONG", LONG)
        try:
            outcome = self.machine.finit_module(descriptor, parameters, step["flags"])
        finally:
            self.machine.close(descriptor)
        assert named(outcome) == step["result"]

    def unload(self, step: Step) -> None:
        outcome = self.machine.delete_module(step["name"], step["flags"])
        assert named(outcome) == step["result"]

    def read(self, step: Step) -> None:
        assert self.kernel.read_text(step["path"]).rstrip("\n") == step["text"]

    def write(self, step: Step) -> None:
        result = "0"
        try:
            # As a shell does it: an O_TRUNC that sysfs passes over, and EACCES even for root.
            self.kernel.write_file(step["path"], step["text"])
        except OSError as error:
            result = errno.errorcode[error.errno or 0]
        assert result == step["result"]

    def list(self, step: Step) -> None:
        assert self.kernel.list_directory(step["path"]) == step["names"]

    def module(self, step: Step) -> None:
        found = self.kernel.module(step["name"])
        assert found.refcount == step["refcount"]
        assert [*found.holders] == step["holders"]
        assert (found.state, found.taints) == (step["state"], step["taints"])

    def loop(self, step: Step) -> None:
        loop = self.machine.open("/dev/loop0", os.O_RDWR)
        if step["attach"]:
            self.kernel.write_file("/tmp/disk", bytes(1 << 20), create=True)
            self.machine.ioctl(loop, LOOP_SET_FD, self.machine.open("/tmp/disk", os.O_RDWR))
        else:
            self.machine.ioctl(loop, LOOP_CLR_FD)
        self.machine.close(loop)


def named(outcome: SyscallOutcome) -> str:
    if outcome.signal:
        return f"signal {outcome.signal}"
    return errno.errorcode.get(outcome.errno, str(outcome.errno)) if outcome.errno else "0"


def comparable(lines: list[str]) -> list[str]:
    kept = [line for line in lines if not PASSED_OVER.match(line)]
    for pattern, text in REPLACED:
        kept = [pattern.sub(text, line) for line in kept]
    return kept


def logged(watch: LogWatch) -> list[str]:
    return comparable([f"<{record.level}>{record.text}" for record in watch.new_records()])


def test_there_are_46() -> None:
    assert len(SCENARIOS) == 46


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s['boot']}: {s['name']}")
def test_scenario(
    scenario: dict[str, Any], machine: EmulatedMachine, modules: ScenarioModules
) -> None:
    replay = Replay(machine, modules)
    for path, text in BOOT[scenario["boot"]]:
        replay.kernel.write_file(path, text)
    watch = replay.kernel.watch_log()
    for step in scenario["steps"]:
        if step.get("result") == "panic":
            with pytest.raises(KernelDiedError) as caught:
                replay.carry_out(step)
            lines = comparable(list(caught.value.log))
            start = next(i for i, line in enumerate(lines) if "loading out-of-tree" in line)
            assert lines[start:] == step["log"]
            return
        replay.carry_out(step)
        assert logged(watch) == step.get("log", [])
    assert replay.kernel.taint() == scenario["taint"]
