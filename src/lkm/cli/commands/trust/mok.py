"""Show Secure Boot and whom this machine trusts; enrol and delete Machine Owner Keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from lkm.cli import passphrase
from lkm.cli.output import print_json
from lkm.errors import UsageError
from lkm.operations.trust import mok
from lkm.signing.verify import Answer

F = TypeVar("F", bound=Callable[..., Any])


def _where(function: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a JSON document."),
        click.option(
            "--root", default="/", metavar="DIR", help="Of a saved copy of /sys and /proc."
        ),
    ):
        function = option(function)
    return function


@click.group("mok")
def command() -> None:
    """Show Secure Boot and whom this machine trusts; enrol and delete Machine Owner Keys."""


@command.command("status")
@_where
def status(root: str, as_json: bool) -> None:
    """Show what is enforced here, and which keys the firmware, shim and the kernel trust."""
    found = mok.status(root)
    if as_json:
        print_json("mok", status=found)
        return
    rows = [
        ("Secure Boot", _said(found.secure_boot, "on", "off", "no EFI" if not found.efi else "-")),
        ("setup mode", _said(found.setup_mode, "yes", "no")),
        ("shim validates", _said(found.shim_validates, "yes", "no (switched off with mokutil)")),
        ("sig_enforce", _said(found.sig_enforce, "on", "off")),
        ("lockdown", found.lockdown or "-"),
        ("module loading", _said(found.modules_disabled, "disabled until reboot", "possible")),
        ("unsigned module", _answer(found.unsigned)),
        ("unknown key", _answer(found.unknown_key)),
        ("MOKs for modules", _said(found.trusted_for_modules, "trusted", "not trusted")),
    ]
    for label, value in rows:
        click.echo(f"{label:16}  {value}")
    for title, keys in (
        ("enrolled MOKs", found.enrolled),
        ("to be enrolled at the next boot", found.pending),
        ("to be deleted at the next boot", found.pending_deletion),
    ):
        _print_keys(title, keys)
    _print_kernel(found)


def _said(value: bool | None, yes: str, no: str, unknown: str = "-") -> str:
    if value is None:
        return unknown
    return yes if value else no


def _answer(answer: Answer | None) -> str:
    if answer is None:
        return "-"
    if not answer.errno:
        return "loads, taint E"
    return f"refused: {os.strerror(answer.errno)} ({answer.log})"


def _print_keys(title: str, keys: Sequence[mok.Key]) -> None:
    if keys:
        click.echo(f"{title}:")
    for key in keys:
        facts = key.certificate
        click.echo(f"  {facts.name} ({facts.algorithm}, until {facts.not_after:%Y-%m-%d})")
        click.echo(f"    SHA1 {bytes.fromhex(facts.sha1).hex(':')}")


def _print_kernel(found: mok.Status) -> None:
    if found.keyrings:
        click.echo("kernel keyrings:")
    for name, count in found.keyrings.items():
        click.echo(f"  {name:24} {count}")
    if found.kernel_keys:
        click.echo("kernel keys (name: key id):")
    for key in found.kernel_keys:
        click.echo(f"  {key}")


@command.command("list")
@_where
def list_(root: str, as_json: bool) -> None:
    """List the enrolled MOKs."""
    found = mok.status(root)
    if as_json:
        print_json("mok", enrolled=found.enrolled)
    elif found.enrolled:
        _print_keys("enrolled MOKs", found.enrolled)
    else:
        click.echo("no MOK is enrolled")


def _password(password_file: str | None) -> str:
    if password_file:
        return Path(password_file).read_text(encoding="utf-8").partition("\n")[0]
    if not passphrase.can_ask():
        raise UsageError("give the password in a file (--password-file) or from a terminal")
    text: str = click.prompt(
        "Password, to be typed once more at the next boot",
        hide_input=True,
        confirmation_prompt=True,
        err=True,
    )
    return text


_password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Read the one-time password from this file.",
)


@command.command("enroll")
@click.argument("path", metavar="CERT")
@_password_file
@_where
def enroll(path: str, password_file: str | None, root: str, as_json: bool) -> None:
    """Ask for CERT to be enrolled: mokutil notes it, MokManager asks at the next boot.

    Prints what its blue screens will ask, key by key; they know a US keyboard only.
    """
    _print_request(mok.enroll(path, _password(password_file), root=root), as_json)


@command.command("delete")
@click.argument("path", metavar="CERT")
@_password_file
@_where
def delete(path: str, password_file: str | None, root: str, as_json: bool) -> None:
    """Ask for CERT to be deleted: mokutil notes it, MokManager asks at the next boot."""
    _print_request(mok.delete(path, _password(password_file), root=root), as_json)


def _print_request(request: mok.EnrolmentRequest, as_json: bool) -> None:
    if as_json:
        print_json("mok", request=request)
        return
    facts = request.certificate
    click.echo(f"{facts.name}\nSHA1 {bytes.fromhex(facts.sha1).hex(':')}")
    if request.already:
        click.echo(f"nothing to do: {request.already}")
        return
    click.echo("\nReboot now; MokManager's blue screens then show, one after the other:")
    for number, screen in enumerate(request.screens, 1):
        click.echo(f"  {number}. “{screen.text}”: {screen.action}")
