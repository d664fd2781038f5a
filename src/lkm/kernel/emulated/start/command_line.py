"""The kernel command line that the emulated machine is booted with."""

from __future__ import annotations

from lkm.errors import UsageError

BASE = (
    # The shape of the machine: one processor, old interrupt controller, no PCI, hardly ACPI.
    "nosmp maxcpus=0 nolapic noapic pci=off 8250.nr_uarts=0 "
    # Time is ours: do not calibrate it against other clocks.
    "tsc=reliable tsc_early_khz=1000000 lpj=4000000 no_timer_check nowatchdog "
    # What costs time and serves nobody here.
    "nopti audit=0 apparmor=0 selinux=0 rcupdate.rcu_expedited=1 "
    "cryptomgr.notests loglevel=0 "
    # A panic ends in emergency_restart(), where it is noticed.
    "panic=-1"
)
_SIZE = 2048
"""``COMMAND_LINE_SIZE`` of x86."""


def complete(extra: str) -> str:
    """Return the whole command line; raises ``UsageError`` when it is too long."""
    text = f"{BASE} {extra}".strip()
    if len(text.encode()) >= _SIZE:
        raise UsageError(f"a kernel command line has at most {_SIZE - 1} bytes")
    return text
