"""Rows that take more than a file on the emulated kernel: a caller without rights, openssl."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lkm.doctor import log
from lkm.doctor.rules.all_rules import RULES
from lkm.doctor.target_kernel import capable
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import virtual_machine
from lkm.operations import doctor, targets
from lkm.operations.explanation import first_finding
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.signing import workshop

# Gives CAP_SYS_MODULE up (linux/capability.h: version 3), then tries init_module.
_WITHOUT_CAPABILITY = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
assert libc.syscall(125, header, sets) == 0
for index in range(3):
    sets[index] &= ~(1 << 16)
assert libc.syscall(126, header, sets) == 0
data = open(sys.argv[1], "rb").read()
result = libc.syscall(175, data, ctypes.c_ulong(len(data)), b"")
status = open("/proc/self/status").read()
print(json.dumps([result, ctypes.get_errno(), status]))
"""


def test_a_caller_without_the_capability() -> None:
    module = built("hello")
    release = kernel_files().release
    with open_kernel(f"vm:{release}") as kernel:
        machine = virtual_machine(kernel.syscalls)
        machine.push_imports(["ctypes", "json"])
        machine.push(module, "/m/hello.ko")
        with kernel.watch_log() as watch:
            done = machine.run(guest.interpreter(), "-ISc", _WITHOUT_CAPABILITY, "/m/hello.ko")
            said = [record.text for record in watch.new_records()]
        assert done.status == 0, done.stderr.decode()
        result, number, status = json.loads(done.stdout)
        assert (result, number) == (-1, errno.EPERM)
        assert not any("hello" in line for line in said)
        # The doctor of that caller, by what /proc tells it, and of one that may load modules.
        opened = targets.of_running(kernel)
    policy = replace(opened.target.policy, capable=capable(status))
    asked = replace(opened, target=replace(opened.target, policy=policy))
    refused = doctor.examine(str(module), (), asked, as_caller=True).decisive
    assert refused is not None
    assert (refused.name, refused.errno) == ("no-capability", errno.EPERM)
    assert any(fix.text for fix in refused.fixes)
    assert doctor.examine(str(module), (), opened, as_caller=True).loads


def test_a_signature_made_with_the_wrong_options(tmp_path: Path) -> None:
    shop = workshop(tmp_path, kernel_files())
    path = tmp_path / "hello.ko"
    path.write_bytes(shop.openssl(shop.hello, "-nocerts", "-nosmimecap"))
    with Kernel(open_machine(kernel_files().vmlinuz)) as kernel:
        with pytest.raises(KernelError) as caught:
            kernel.load(path)
        error = caught.value
        assert error.errno == errno.EKEYREJECTED
        assert any("has authattrs" in line for line in error.log)
        finding = first_finding(kernel, str(path), errno=error.errno, lines=error.log)
    assert (finding.name, finding.errno) == ("signature-options", errno.EKEYREJECTED)
    assert any(fix.text for fix in finding.fixes)
    told = log.explain("\n".join(error.log), RULES)[0].finding
    assert told.name == "signature-options"


def test_a_kernel_without_modules() -> None:
    """Built without CONFIG_MODULES a kernel has no /proc/modules, and answers ENOSYS."""
    path = str(built("hello"))
    with Kernel(open_machine(kernel_files().vmlinuz)) as kernel:
        assert first_finding(kernel, path, errno=errno.ENOSYS).name == "init-failed"
        kernel.unmount("/proc", 2)  # MNT_DETACH
        finding = first_finding(kernel, path, errno=errno.ENOSYS)
    assert (finding.name, finding.errno) == ("no-module-support", errno.ENOSYS)
