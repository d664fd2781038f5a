"""Why a kernel will not go on."""

from __future__ import annotations


class MachineDeath(Exception):
    """The kernel will not go on: it restarted, hung, or met a limit of the emulator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Restarted(MachineDeath):
    """The kernel called emergency_restart, as it does after a panic."""


class NotMapped(MachineDeath):
    """A virtual address that no page table maps; where it had to be, the kernel is broken."""

    def __init__(self, address: int) -> None:
        super().__init__(f"the address {address:#x} is not mapped")
        self.address = address


class TripleFault(MachineDeath):
    """The double-fault handler itself cannot be reached: a real machine resets."""

    def __init__(self) -> None:
        super().__init__("a triple fault: the double-fault handler faulted")
