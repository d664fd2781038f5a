"""Packed modules on the live kernel of a guest: unpacked by that kernel, or else by us."""

from __future__ import annotations

import gzip
import json

from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import virtual_machine
from lkm.module import compression
from tests.support.kernels import kernel_files

_MODULES = ("lkm.kernel.kernel", "lkm.kernel.live", "lkm.module.*", "lzma", "gzip", "zlib")

_LOAD = """
import json, sys
sys.path.insert(0, {package!r})
from lkm.kernel.kernel import Kernel
from lkm.kernel.live import LiveSyscalls
calls = []
class Spy(LiveSyscalls):
    def finit_module(self, descriptor, parameters, flags):
        calls.append(["finit_module", flags])
        return super().finit_module(descriptor, parameters, flags)
    def init_module(self, image, parameters):
        calls.append(["init_module", image[:4].hex()])
        return super().init_module(image, parameters)
kernel = Kernel(Spy())
for path in sys.argv[1:]:
    calls.append([kernel.load(path).name])
    kernel.unload("loop")
print(json.dumps(calls))
"""


def test_the_kernels_own_format_and_another() -> None:
    newer = kernel_files("6.12.", "amd64")
    (path,) = newer.modules.rglob("loop.ko.xz")
    plain = compression.decompress(path.read_bytes())
    with open_kernel(f"vm:{newer.release}") as opened:
        assert opened.read_text("/sys/module/compression") == "xz\n"
        machine = virtual_machine(opened.syscalls)
        machine.push_imports([*_MODULES, "json"])
        machine.push(path, "/m/loop.ko.xz")
        machine.put("/m/loop.ko.gz", gzip.compress(plain))
        machine.put("/m/loop.ko", plain)
        code = _LOAD.format(package=guest.GUEST_PACKAGE)
        files = ["/m/loop.ko.xz", "/m/loop.ko.gz", "/m/loop.ko"]
        done = machine.run(guest.interpreter(), "-ISc", code, *files)
    assert done.status == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [
        ["finit_module", 4],
        ["loop"],
        ["init_module", "7f454c46"],
        ["loop"],
        ["finit_module", 0],
        ["loop"],
    ]
