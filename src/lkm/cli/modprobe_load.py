"""What modprobe does to a kernel: carry out a plan, and remove modules."""

from __future__ import annotations

from lkm.cli.kmod_log import Log
from lkm.cli.modprobe_settings import Settings
from lkm.errors import UnsupportedError
from lkm.tree.plan import Plan
from lkm.tree.resolver import Resolver


def load(plan: Plan, settings: Settings, log: Log) -> int:
    """Carry out ``plan`` on the kernel and return the exit status."""
    raise UnsupportedError(f"loading {plan.name}", hint="-D shows what would be done")


def remove(resolver: Resolver, settings: Settings, log: Log) -> int:
    """Remove ``settings.names`` from the kernel and return the exit status."""
    raise UnsupportedError("removing modules")
