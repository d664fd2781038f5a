"""Make a Machine Owner Key to sign modules with, show a certificate."""

from __future__ import annotations

import click

from lkm.cli import passphrase
from lkm.cli.output import print_json
from lkm.operations.trust import keys
from lkm.signing.sign import PIN_VARIABLE

_ALGORITHMS = ("rsa2048", "rsa4096", "ec-p384")


@click.group("keys")
def command() -> None:
    """Make a Machine Owner Key to sign modules with, show a certificate."""


@command.command("new")
@click.option("--out", default=".", metavar="DIR", help="Where to write it (default: here).")
@click.option("--name", default="MOK", show_default=True, help="The files' name without ending.")
@click.option("--cn", default="", metavar="TEXT", help="The certificate's common name.")
@click.option("--days", default=3650, show_default=True, help="How long it is valid.")
@click.option("--algorithm", type=click.Choice(_ALGORITHMS), default="rsa2048", show_default=True)
@click.option("--encrypt", is_flag=True, help="Protect the private key with a passphrase.")
@passphrase.option
@click.option("--force", is_flag=True, help="Replace a key that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def new(
    *,
    out: str,
    name: str,
    cn: str,
    days: int,
    algorithm: str,
    encrypt: bool,
    passphrase_file: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a private key and a certificate that may sign kernel modules and nothing else.

    The private key is readable by its owner alone; keep it so, or off this machine. rsa2048 is
    what every kernel takes; ec-p384 needs one built with ECDSA, which Debian's 6.1 is not.
    """
    made = keys.new(
        out,
        common_name=cn,
        algorithm=algorithm,
        days=days,
        name=name,
        passphrase=_new_passphrase(encrypt, passphrase_file),
        replace=force,
    )
    if as_json:
        print_json("keys", files=made.files, certificates=[made.certificate])
        return
    click.echo(f"private key  {made.files.private_key}")
    click.echo(f"certificate  {made.files.der} (DER), {made.files.pem} (PEM)")
    _print(made.certificate)


def _new_passphrase(encrypt: bool, passphrase_file: str | None) -> bytes | None:
    if passphrase_file or encrypt:
        found = passphrase.given(passphrase_file)
        if not found and not passphrase.can_ask():
            raise click.UsageError(
                f"--encrypt needs --passphrase-file, ${PIN_VARIABLE} or a terminal"
            )
        return found or passphrase.ask("Passphrase for the new key", confirm=True)
    return None


@command.command("show")
@click.argument("path", metavar="CERT")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def show(path: str, as_json: bool) -> None:
    """Show whose key a certificate (PEM or DER) is, and what it may be used for."""
    found = keys.show(path)
    if as_json:
        print_json("keys", certificates=found)
        return
    for index, facts in enumerate(found):
        if index:
            click.echo()
        _print(facts)


@command.command("builtin")
@click.argument("kernel", metavar="[RELEASE|IMAGE]", default="")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def builtin(kernel: str, as_json: bool) -> None:
    """Show the keys that are built into a kernel, which it trusts for modules by itself.

    Keys of this machine (mok) are trusted besides, where Secure Boot is on.
    """
    release, found = keys.builtin(kernel)
    if as_json:
        print_json("keys", release=release, certificates=found)
        return
    click.echo(f"built into kernel {release}:")
    if not found:
        click.echo("no key: it trusts no module's signature by itself")
    for facts in found:
        click.echo()
        _print(facts)


def _print(facts: keys.CertificateFacts) -> None:
    issuer = "itself" if facts.issuer == facts.name else facts.issuer
    rows = [
        ("name", facts.name),
        ("issued by", issuer),
        ("key", facts.algorithm),
        ("valid", f"{facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}"),
        ("serial", facts.serial),
        ("key id", facts.key_id or "-"),
        ("SHA1", bytes.fromhex(facts.sha1).hex(":")),
        ("SHA256", facts.sha256),
        ("usage", _usage(facts)),
        ("for", _purpose(facts)),
    ]
    for label, value in rows:
        click.echo(f"{label:11}  {value}")


def _usage(facts: keys.CertificateFacts) -> str:
    usages = [*(facts.key_usages or ()), *(facts.extended_usages or ())]
    if facts.authority:
        usages.append("certificate authority")
    return ", ".join(usages) or "not limited"


def _purpose(facts: keys.CertificateFacts) -> str:
    if not facts.signs_modules:
        return "not for signing modules"
    return "modules, boot loaders and kernels" if facts.signs_boot else "kernel modules only"
