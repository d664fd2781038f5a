"""Write down what decides about loading modules on this host, for another."""

from __future__ import annotations

import sys

import click

from lkm.cli.target_options import target_options
from lkm.operations.targets import Where, open_target


@click.command("inventory")
@target_options
def command(*, where: Where) -> int:
    """Print one JSON document with all that `lkm doctor --inventory` needs of this host.

    It holds the kernel's exports, its keys and rules, and the module tree's; no module itself.
    """
    from lkm.doctor.inventory import encode  # loads msgspec

    sys.stdout.buffer.write(encode(open_target(where).target))
    return 0
