"""Where a passphrase comes from: a file, the environment, a prompt; never the command line."""

from __future__ import annotations

import os
import sys

import click

from lkm.signing.sign import PIN_VARIABLE

option = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False),
    help=f"Read the key's passphrase from this file (else ${PIN_VARIABLE}, else a prompt).",
)


def given(passphrase_file: str | None) -> bytes | None:
    """Return the passphrase in the file (its first line) or the environment, else ``None``."""
    if passphrase_file:
        with open(passphrase_file, "rb") as file:
            return file.readline(4096).rstrip(b"\n")
    value = os.environ.get(PIN_VARIABLE)
    return os.fsencode(value) if value else None


def can_ask() -> bool:
    """Whether somebody is there to type one."""
    return sys.stdin.isatty()


def ask(what: str, *, confirm: bool = False) -> bytes:
    """Ask for a passphrase on the terminal, twice with ``confirm``; it may be empty then."""
    text: str = click.prompt(
        what,
        hide_input=True,
        err=True,
        default="" if confirm else None,
        show_default=False,
        confirmation_prompt=confirm,
    )
    return text.encode()
