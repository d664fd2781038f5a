"""Boot a machine once, keep it, and bring it back for each use.

The guest's memory is a file that QEMU maps: shared while the machine boots, private when it is
restored. Restoring therefore reads only the pages that are used, and parallel machines share them;
the devices' state (``x-ignore-shared`` leaves the memory out of it) is a few hundred kilobytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from lkm.errors import KernelDiedError, ToolError
from lkm.kernel.vm import guest, medium, store
from lkm.kernel.vm.accelerator import TCG, choose_accelerator, distrust_kvm
from lkm.kernel.vm.connection import Connection
from lkm.kernel.vm.medium import Medium
from lkm.kernel.vm.process import QemuProcess
from lkm.kernel.vm.profile import Profile, cache_key, machine_arguments

Progress = Callable[[str, int, int], None]

BOOT_LIMIT = 180.0
"""Seconds a first boot may take: emulated, on a busy machine, it took 20."""

_KVM_BOOT_LIMIT = 8.0  # one that works takes 2 s; TCG takes 4
_RESTORE_LIMIT = 30.0
_CAPABILITIES = [{"capability": "x-ignore-shared", "state": True}]


def start(profile: Profile, progress: Progress | None = None) -> Connection:
    """Return a fresh machine of that profile, booting it first if no snapshot fits."""
    # Firmware's system management mode and KVM are not tried together.
    accelerator = TCG if profile.firmware else choose_accelerator()
    try:
        return _start(profile, accelerator, progress)
    except (ToolError, KernelDiedError):
        if accelerator == TCG:
            raise
    distrust_kvm()
    return _start(profile, TCG, progress)


def _start(profile: Profile, accelerator: str, progress: Progress | None) -> Connection:
    key = cache_key(profile, accelerator, guest.identity())
    connection = _try_restore(profile, accelerator, key)
    if connection:
        return connection
    with store.locked():
        # Another process may have made it, or made it anew, while this one waited.
        connection = _try_restore(profile, accelerator, key)
        if connection:
            return connection
        store.discard(key)
        _boot_and_store(profile, accelerator, key, progress)
    entry = store.open_entry(key)
    if entry is None:
        raise ToolError(f"the snapshot cannot be kept in {store.folder()}")
    return _restore(profile, accelerator, entry)


def _try_restore(profile: Profile, accelerator: str, key: str) -> Connection | None:
    entry = store.open_entry(key)
    if entry is None:
        return None
    try:
        return _restore(profile, accelerator, entry)
    except (ToolError, KernelDiedError):
        return None  # it does not fit this QEMU, or is damaged: it will be made anew


def _restore(profile: Profile, accelerator: str, entry: store.OpenSnapshot) -> Connection:
    try:
        with medium.to_restore(profile) as media:
            arguments = [
                *machine_arguments(profile, accelerator),
                *_memory(profile, entry.ram, shared=False),
                *media.arguments,
                *("-incoming", "defer"),
            ]
            process = QemuProcess(arguments, [entry.ram, entry.state, *media.descriptors])
        with _ended_on_error(process):
            process.qmp.execute("migrate-set-capabilities", capabilities=_CAPABILITIES)
            process.qmp.execute("migrate-incoming", uri=f"fd:{entry.state}")
            connection = Connection(process, f"vm:{profile.release}")
            connection.request("ping", limit=_RESTORE_LIMIT)
            return connection
    finally:
        entry.close()


def _boot_and_store(
    profile: Profile, accelerator: str, key: str, progress: Progress | None
) -> None:
    what = f"booting {profile.release} for the first time"
    if progress:
        progress(what, 0, 0)
    ram = os.memfd_create("lkm-ram")
    state = os.memfd_create("lkm-state")
    try:
        process = _boot(profile, accelerator, ram)
        with _ended_on_error(process):
            _save(process, state)
            process.end()
        store.add(key, describe(profile, accelerator), ram, state)
    finally:
        os.close(ram)
        os.close(state)


def describe(profile: Profile, accelerator: str) -> str:
    """Return a line that says what a snapshot is of."""
    return (
        f"{profile.release}, {accelerator}, {profile.cpus} CPU, {profile.memory} MiB"
        f"{', Secure Boot' if profile.firmware else ''}"
        f"{', ' + profile.command_line if profile.command_line else ''}"
    )


def _boot(profile: Profile, accelerator: str, ram: int) -> QemuProcess:
    with medium.to_boot(profile) as media:
        process = launch(profile, accelerator, ram, media)
        with _ended_on_error(process):
            limit = BOOT_LIMIT if accelerator == TCG else _KVM_BOOT_LIMIT
            Connection(process, f"vm:{profile.release}").request("ping", limit=limit)
    return process


def launch(profile: Profile, accelerator: str, ram: int, media: Medium) -> QemuProcess:
    """Start QEMU with the open file ``ram`` as the machine's memory."""
    arguments = [
        *machine_arguments(profile, accelerator),
        *_memory(profile, ram, shared=True),
        *media.arguments,
    ]
    return QemuProcess(arguments, [ram, *media.descriptors])


def _memory(profile: Profile, descriptor: int, *, shared: bool) -> tuple[str, str]:
    share = "on" if shared else "off"
    path = f"/proc/self/fd/{descriptor}"
    size = f"{profile.memory}M"
    return "-object", f"memory-backend-file,id=ram,size={size},mem-path={path},share={share}"


def _save(process: QemuProcess, state: int) -> None:
    qmp = process.qmp
    qmp.execute("migrate-set-capabilities", capabilities=_CAPABILITIES)
    qmp.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
    qmp.pass_descriptor("state", state)
    qmp.execute("migrate", uri="fd:state")
    qmp.wait_for_migration(limit=_RESTORE_LIMIT)


@contextlib.contextmanager
def _ended_on_error(process: QemuProcess) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.end()
        raise
