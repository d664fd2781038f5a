"""Build the modules of DKMS packages for each kernel and install them, in dkms's place."""

from __future__ import annotations

import os
import sys

from lkm.cli.dkms_console import Console
from lkm.cli.dkms_options import OWN_VERBS, TOOL, CommandLine, WrongUse, parse
from lkm.operations.dkms.reporting import DkmsFailure, tell
from lkm.operations.dkms.run import VERBS
from lkm.operations.dkms.run import run as run_verb
from lkm.operations.dkms.settings import COMPATIBLE

__all__ = ["TOOL", "run"]

_USAGE = """\
Usage: {program} [action] [options]
  [action]  = {{ add | remove | build | unbuild | install | uninstall | match |
               autoinstall | mktarball | ldtarball | status | generate_mok |
               kernel_preinst | kernel_postinst | kernel_prerm }}
  [options] = [-m module] [-v module-version] [-k kernel-version] [-a arch]
              [-c dkms.conf-location] [-q] [--force] [--force-version-override] [--all]
              [--templatekernel=kernel] [--directive='cli-directive=cli-value']
              [--config=kernel-include/config/auto.conf-location] [--archive=tarball-location]
              [--kernelsourcedir=source-location] [--rpm_safe_upgrade]
              [--dkmstree path] [--sourcetree path] [--installtree path]
              [--binaries-only] [--source-only] [--verbose]
              [--no-depmod] [--modprobe-on-install] [-j number] [--version] [--help]
"""


def run(arguments: list[str]) -> int:
    """Run ``dkms ARGUMENTS`` and return its exit status."""
    os.umask(0o022)
    console = Console()
    try:
        line = parse(arguments, console)
    except WrongUse as wrong:
        console.fail(wrong)
        if wrong.with_usage:
            _print_usage()
        return wrong.status
    if line.shows == "version":
        print(COMPATIBLE)
        return 0
    if line.shows == "help":
        _print_usage()
        return 0
    if line.verb == "status" and line.switches & {"json", "watch"}:
        return _status(line, console)
    if line.verb in VERBS:
        return run_verb(line.verb, line.settings, console)
    if line.verb in OWN_VERBS:
        return _own_verb(line, console)
    console.fail(WrongUse(2, f'Unknown action specified: "{line.verb}"'))
    _print_usage()
    return 2


def _status(line: CommandLine, console: Console) -> int:
    from lkm.cli import dkms_verbs  # for programs, and for the eyes

    if "json" in line.switches:
        return dkms_verbs.status_json(line, console)
    return dkms_verbs.watch_status(line, console)


def _own_verb(line: CommandLine, console: Console) -> int:
    from lkm.cli import dkms_verbs  # what dkms has not, its callers need not wait for

    try:
        return dkms_verbs.run(line, console)
    except DkmsFailure as failure:
        tell(console, failure)
        return failure.status


def _print_usage() -> None:
    program = sys.argv[0] if os.path.basename(sys.argv[0]) == "dkms" else "lkm dkms"
    sys.stdout.write(_USAGE.format(program=program))
    sys.stdout.flush()
