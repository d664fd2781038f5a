"""KVM where it works, else QEMU's own translation (TCG).

A /dev/kvm that opens proves nothing: under some hypervisors its guests stand still. So a machine
is started under KVM once, and must show that its firmware runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time

from lkm import files
from lkm.kernel.vm.profile import find_qemu

KVM, TCG = "kvm", "tcg"

_DEVICE = "/dev/kvm"
_PROBE_SECONDS = 3.0
_MEMORY_DAYS = 7
_FIRMWARE_PORT = "0x402"  # SeaBIOS writes its messages here, its first within milliseconds


def choose_accelerator() -> str:
    """Return ``kvm`` or ``tcg``; the answer is remembered for this host and this boot."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return TCG
    with contextlib.suppress(OSError, ValueError, AttributeError):
        note = files.cache_directory("vm-accelerator") / "probe.json"
        remembered = json.loads(note.read_bytes())
        if remembered.get("host") == _host():
            return KVM if remembered.get("kvm") else TCG
    works = _firmware_runs()
    _remember(works)
    return KVM if works else TCG


def distrust_kvm() -> None:
    """Remember that a guest did not boot under KVM, whatever its firmware did."""
    _remember(works=False)


def _remember(works: bool) -> None:
    with contextlib.suppress(OSError):  # no room: it is found out anew
        note = files.cache_directory("vm-accelerator") / "probe.json"
        files.write_atomic(note, json.dumps({"host": _host(), "kvm": works}).encode())


def _host() -> list[str]:
    """Return the facts the answer depends on: the kernel, the machine's boot, the device, QEMU."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return [os.uname().release, boot, str(os.stat(_DEVICE).st_rdev), os.path.realpath(find_qemu())]


def _firmware_runs() -> bool:
    reader, writer = os.pipe()
    command = [
        *(find_qemu(), "-M", "q35", "-accel", KVM, "-m", "32M", "-display", "none"),
        *("-nodefaults", "-no-user-config", "-chardev", f"file,id=d,path=/proc/self/fd/{writer}"),
        *("-device", f"isa-debugcon,iobase={_FIRMWARE_PORT},chardev=d"),
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writer],
    )
    os.close(writer)
    os.set_blocking(reader, False)
    try:
        return _said_something(process, reader)
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def _said_something(process: subprocess.Popen[bytes], reader: int) -> bool:
    deadline = time.monotonic() + _PROBE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(BlockingIOError):
            if os.read(reader, 64):
                return True
        time.sleep(0.01)
    return False
