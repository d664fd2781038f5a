"""load-list on the live kernel, several modules at once: the live kernel of a guest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import virtual_machine
from tests.support.kernels import kernel_files

_NAMES = ("loop", "mbcache", "ext4", "dummy", "no_such_module", "crc16")
_FILES = ("loop", "mbcache", "ext4", "dummy", "crc16", "jbd2", "crc32c_generic", "crc32c-intel")
_IMPORTS = (
    "lkm.operations.running.load_list",
    "lkm.kernel.*",
    "lkm.module.*",
    "lkm.tree.*",
    "concurrent.futures.process",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
    "json",
)
_LOAD = """
import json, os, sys
sys.path.insert(0, {package!r})
from lkm.kernel.open import open_kernel
from lkm.operations.running import load_list
from lkm.tree.root import Root
os.makedirs("/dev/shm", exist_ok=True)
with open_kernel("live") as kernel:
    kernel.mount("tmpfs", "/dev/shm", "tmpfs")
    assert os.cpu_count() == 2
    rules = load_list.configured(Root())
    found = [(one.name, one.result) for one in load_list.load_all(kernel, rules, Root())]
    print(json.dumps([found, [module.name for module in kernel.modules()]]))
"""


def test_modules_load_side_by_side(tmp_path: Path) -> None:
    files = kernel_files()
    inside = Path("lib/modules", files.release)
    folder = tmp_path / inside
    (folder / "kernel").mkdir(parents=True)
    for name in _FILES:
        (path,) = files.modules.rglob(f"{name}.ko")
        shutil.copy(path, folder / "kernel")
    command = [sys.executable, "-m", "lkm", "depmod", "-b", str(tmp_path), files.release]
    subprocess.run(command, check=True)
    with open_kernel(f"vm:{files.release}", cpus=2) as opened:
        machine = virtual_machine(opened.syscalls)
        machine.push_imports(list(_IMPORTS))
        for path in folder.rglob("*"):
            if path.is_file():
                machine.push(path, f"/{path.relative_to(tmp_path)}")
        machine.put("/etc/modules-load.d/test.conf", "\n".join(_NAMES).encode() + b"\n")
        code = _LOAD.format(package=guest.GUEST_PACKAGE)
        done = machine.run(guest.interpreter(), "-ISc", code)
    assert done.status == 0, done.stderr.decode()
    results, loaded = json.loads(done.stdout)
    assert [name for name, _ in results] == list(_NAMES)
    told = dict(results)
    assert told.pop("no_such_module") == "not found"
    # Loaded by this name's process, or by another's as a dependency a moment before.
    assert set(told.values()) <= {"loaded", "already loaded"}
    assert {"loop", "mbcache", "ext4", "dummy", "crc16", "jbd2"} <= set(loaded)
