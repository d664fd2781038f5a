"""Check the signatures of modules against the keys a kernel trusts."""

from __future__ import annotations

from collections.abc import Sequence

import click

from lkm.cli.output import ProgressLine, print_json
from lkm.operations import module_files
from lkm.operations.module_files import FileFailure
from lkm.operations.trust import verify
from lkm.signing.verify import SignatureVerdict, Verification

_FEW = 10
_WORDS = {
    SignatureVerdict.VALID: "valid",
    SignatureVerdict.UNSIGNED: "not signed",
    SignatureVerdict.UNKNOWN_KEY: "unknown key",
    SignatureVerdict.UNSUPPORTED: "not checkable",
    SignatureVerdict.TAMPERED: "tampered",
    SignatureVerdict.WRONG_OPTIONS: "signed with wrong options",
    SignatureVerdict.MALFORMED: "broken signature",
    SignatureVerdict.OVERSIZED: "oversized signature",
}


@click.command("verify")
@click.argument("modules", metavar="MODULE|DIR...", nargs=-1, required=True)
@click.option("--cert", "certificates", multiple=True, metavar="CERT", help="Trust this.")
@click.option("--kernel", default="", metavar="live|RELEASE|VMLINUZ", help="Trust what it trusts.")
@click.option("--keyring", default="", metavar="DIR", help="Trust the certificates there.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    modules: tuple[str, ...],
    certificates: tuple[str, ...],
    kernel: str,
    keyring: str,
    as_json: bool,
) -> int:
    """Say of each module whether its signature is good, and whose it is.

    Without an option the keys are those built into the kernel that the modules were made for
    and, for the running kernel, this machine's MOKs. The exit status is 0 when all are valid.
    """
    found = module_files.find(modules)
    module_files.expect_one(found)
    ring = verify.keyring_of(
        certificates=certificates, kernel=kernel, directory=keyring, modules=found
    )
    line = ProgressLine("modules", 1)
    try:
        results = verify.verify_modules(found, ring, progress=line)
    finally:
        line.clear()
    summary = verify.summarise(results)
    if as_json:
        print_json("verify", summary=summary, modules=results)
    else:
        _print(results, summary)
    return 0 if summary.all_valid else 1


def _print(results: Sequence[Verification | FileFailure], summary: verify.Summary) -> None:
    many = len(results) > _FEW
    for result in results:
        if isinstance(result, FileFailure):
            click.echo(f"lkm: {result.message}", err=True)
        elif result.verdict is not SignatureVerdict.VALID or not many:
            click.echo(_line(result))
    if many:
        _print_summary(summary)


def _line(result: Verification) -> str:
    if result.verdict is SignatureVerdict.VALID:
        how = f"{result.key_algorithm}, {result.digest}"
        detail = f"signed by “{result.signer}” ({how}), key {result.trusted_by}"
    else:
        by = f"; signer “{result.signer}”" if result.signer else ""
        detail = f"{result.reason}{by}"
    return f"{result.path}: {_WORDS[result.verdict]}: {detail}"


def _print_summary(summary: verify.Summary) -> None:
    counts = [
        f"{count} {_WORDS[SignatureVerdict(word)]}" for word, count in summary.verdicts.items()
    ]
    if summary.unreadable:
        counts.append(f"{summary.unreadable} unreadable")
    click.echo(f"{summary.total} modules: {', '.join(counts)}")
    for signer, count in summary.signers.items():
        click.echo(f"  {count} signed by “{signer}”")
