"""Sign modules so that a kernel which trusts the key takes them."""

from __future__ import annotations

from collections.abc import Callable

import click

from lkm.cli import passphrase
from lkm.cli.output import ProgressLine, print_json
from lkm.cli.signing_output import check, options, report
from lkm.operations import module_files
from lkm.operations.trust import sign
from lkm.signing.keys import PassphraseError


@click.command("sign")
@click.argument("modules", metavar="MODULE|DIR...", nargs=-1, required=True)
@click.option("--key", required=True, metavar="KEY", help="Private key: a file or a pkcs11: URI.")
@click.option("--cert", required=True, metavar="CERT", help="Its certificate, DER or PEM.")
@click.option(
    "--hash",
    "digest",
    type=click.Choice(["sha256", "sha384", "sha512"]),
    default="sha256",
    show_default=True,
)
@click.option("--detached", is_flag=True, help="Write the signature to MODULE.p7s instead.")
@passphrase.option
@click.option("--signer", default="", metavar="PATH", help="Of a pkcs11: key: sign-file, openssl.")
@click.option("--any-usage", is_flag=True, help="Take a certificate that is for something else.")
@options
def command(
    *,
    modules: tuple[str, ...],
    key: str,
    cert: str,
    digest: str,
    detached: bool,
    passphrase_file: str | None,
    signer: str,
    any_usage: bool,
    in_place: bool,
    out: str | None,
    as_json: bool,
) -> int:
    """Sign modules, in place unless --out says where to; a signature there is replaced.

    Packed modules (.gz, .xz, .zst) are unpacked, signed and packed again; of a directory all
    modules below it are signed.
    """
    check(in_place, out)
    found = module_files.find(modules)
    module_files.expect_one(found)

    def prepare(secret: bytes | None) -> sign.SigningSetup:
        return sign.prepare(
            key,
            cert,
            digest=digest,
            passphrase=secret,
            program=signer,
            any_usage=any_usage,
        )

    setup = _prepared(prepare, key, passphrase.given(passphrase_file))
    for warning in setup.warnings:
        click.echo(f"lkm: {cert}: {warning}", err=True)
    line = ProgressLine("modules", 1)
    try:
        results = sign.sign_modules(found, setup.signer, out=out, detached=detached, progress=line)
    finally:
        line.clear()
    if as_json:
        print_json("sign", certificate=cert, warnings=setup.warnings, modules=results)
    return report(results, "signed", quiet=as_json)


def _prepared(
    prepare: Callable[[bytes | None], sign.SigningSetup], key: str, secret: bytes | None
) -> sign.SigningSetup:
    try:
        return prepare(secret)
    except PassphraseError:
        if secret or not passphrase.can_ask():
            raise
    return prepare(passphrase.ask(f"Passphrase for {key}"))
