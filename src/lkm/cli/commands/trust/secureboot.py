"""Rehearse on a virtual machine what Secure Boot will say to a module."""

from __future__ import annotations

from collections.abc import Iterator

import click

from lkm.cli import passphrase
from lkm.cli.output import ProgressLine, print_json
from lkm.errors import UsageError
from lkm.operations.trust import secureboot
from lkm.operations.trust.secureboot import RehearsalStep


@click.group("secureboot")
def command() -> None:
    """Rehearse on a virtual machine what Secure Boot will say to a module."""


@command.command("rehearse")
@click.argument("module")
@click.option("--mok", metavar="CERT", help="Enrol this certificate (else: one for rehearsals).")
@click.option("--key", metavar="KEY", help="Sign MODULE with this private key of CERT.")
@passphrase.option
@click.option("--mokmanager", is_flag=True, help="Enrol through the real MokManager screens.")
@click.option(
    "--kernel", "where", default="vm", metavar="vm[:REL]|emulated[:REL]", show_default=True
)
@click.option(
    "--profile",
    type=click.Choice(["none", "sig_enforce", "lockdown"]),
    help="No Secure Boot, but a kernel made so strict by its command line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def rehearse(
    *,
    module: str,
    mok: str | None,
    key: str | None,
    passphrase_file: str | None,
    mokmanager: bool,
    where: str,
    profile: str | None,
    as_json: bool,
) -> int:
    """Try MODULE unsigned, signed, and with its key enrolled, behind real Secure Boot.

    A virtual machine starts the distribution's signed kernel through OVMF, shim and GRUB; each
    step is told with the kernel's own words. Nothing changes on this machine.
    """
    kind, _, release = where.partition(":")
    if kind not in {"vm", "emulated"} or (kind == "emulated" and not profile):
        raise UsageError("Secure Boot is rehearsed on vm[:RELEASE]; emulated takes a --profile")
    trial, kernel = secureboot.prepare(
        module, release=release, mok=mok, key=key, passphrase=passphrase.given(passphrase_file)
    )
    line = ProgressLine("", 1)

    steps = (
        secureboot.rehearse_profile(trial, kernel, kind, profile)
        if profile
        else secureboot.rehearse(trial, kernel, mokmanager=mokmanager, progress=line)
    )
    done = list(_shown(steps, line, as_json))
    if as_json:
        print_json("secureboot", kernel=kernel.release, module=trial.name, steps=done)
    return 0 if all(step.ok for step in done) else 1


def _shown(
    steps: Iterator[RehearsalStep], line: ProgressLine, as_json: bool
) -> Iterator[RehearsalStep]:
    for step in steps:
        line.clear()
        if not as_json:
            click.echo(f"{'ok  ' if step.ok else 'FAIL'} {step.what}")
            for said in step.said:
                click.echo(f"     {said}")
        yield step
