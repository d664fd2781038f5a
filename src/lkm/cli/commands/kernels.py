"""List the kernels that are here, fetch others, remove them."""

from __future__ import annotations

import click

from lkm.cli.output import ProgressLine, print_json
from lkm.kernels.fetch import available_releases, fetch_kernel, remove_kernel
from lkm.kernels.known import KnownKernel, known_kernels


@click.group("kernels", invoke_without_command=True)
@click.option("--available", is_flag=True, help="List what could be fetched.")
@click.option("--arch", metavar="ARCH", help="With --available: of another architecture.")
@click.option("--suite", metavar="SUITE", help="With --available: of another suite (bullseye).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.pass_context
def command(
    ctx: click.Context, available: bool, arch: str | None, suite: str | None, as_json: bool
) -> None:
    """List the kernels of this machine and those fetched."""
    if ctx.invoked_subcommand:
        return
    if available:
        releases = available_releases(arch, suite)
        if as_json:
            print_json("kernels", available=releases)
        else:
            click.echo("".join(f"{release}\n" for release in releases), nl=False)
        return
    found = known_kernels()
    if as_json:
        print_json("kernels", kernels=[_document(kernel) for kernel in found])
    else:
        _print_table(found)


def _document(kernel: KnownKernel) -> dict[str, object]:
    """Return a listed kernel's JSON form; kernels of one's own, by path, are never listed."""
    parts = ("release", "root", "vmlinuz", "modules", "headers", "fetched")
    return {name: getattr(kernel, name) for name in parts}


def _print_table(found: tuple[KnownKernel, ...]) -> None:
    if not found:
        click.echo("no kernel is here; fetch one: lkm kernels fetch amd64 --headers")
        return
    width = max(len(kernel.release) for kernel in found)
    click.echo(f"{'RELEASE':{width}}  IMAGE  MODULES  HEADERS  ROOT")
    for kernel in found:
        parts = (kernel.vmlinuz, kernel.modules, kernel.headers)
        image, modules, headers = ("yes" if part else "-" for part in parts)
        click.echo(f"{kernel.release:{width}}  {image:5}  {modules:7}  {headers:7}  {kernel.root}")


@command.command("fetch")
@click.argument("what", metavar="RELEASE|FLAVOUR|SERIES")
@click.option("--headers", is_flag=True, help="Also what building modules takes.")
@click.option("--arch", metavar="ARCH", help="The architecture, as the distribution calls it.")
@click.option("--suite", metavar="SUITE", help="The distribution's release to take it from.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def fetch(what: str, headers: bool, arch: str | None, suite: str | None, as_json: bool) -> None:
    """Download a kernel into lkm's cache; needs no root and installs nothing.

    6.1.0-56-amd64 is a release, cloud-amd64 a flavour (the newest of it), 6.12 a series. With
    --suite bullseye (trixie, sid, ...) it is looked for there, on the system's own mirrors. The
    distribution's own tool is asked: apt, dnf or pacman.
    """
    line = ProgressLine()
    try:
        kernel = fetch_kernel(what, headers=headers, architecture=arch, suite=suite, progress=line)
    finally:
        line.clear()
    if as_json:
        print_json("kernels", kernels=[_document(kernel)])
    else:
        click.echo(f"{kernel.release}  {kernel.root}")


@command.command("remove")
@click.argument("releases", metavar="RELEASE...", nargs=-1, required=True)
def remove(releases: tuple[str, ...]) -> None:
    """Remove fetched kernels from lkm's cache."""
    for release in releases:
        remove_kernel(release)
