"""Open the page on which every picture is a real kernel at work."""

from __future__ import annotations

import click

from lkm.errors import UsageError


@click.command("web")
@click.option("--port", type=click.IntRange(0, 65535), default=None, metavar="N",
              help="Listen there; 0: any free port.  [default: 8610]")  # fmt: skip
@click.option("--no-open", is_flag=True, help="Print the address, open no browser.")
@click.option("--allow-live", is_flag=True,
              help="Let the page load modules into this machine's own kernel.")  # fmt: skip
@click.option("--unconfined", is_flag=True,
              help="Compile what is typed into the page without Landlock too.")  # fmt: skip
@click.option("--export", "export_to", metavar="DIR",
              help="Write the page and recorded runs there, to be opened as a file.")  # fmt: skip
def command(
    port: int | None, no_open: bool, allow_live: bool, unconfined: bool, export_to: str | None
) -> int:
    """Serve the page on this machine only, and open it in a browser.

    Everything on it is real: modules are loaded into a distribution's kernel that runs in a
    process of its own. No root is needed, and nothing happens to this machine's kernel.
    """
    if export_to is not None:
        if port is not None or allow_live or unconfined:
            raise UsageError("--export writes files: it takes none of the other options")
        from lkm.web.export import export

        click.echo(f"{export(export_to)}: open it in a browser")
        return 0
    from lkm.web.serve import DEFAULT_PORT, ServerSettings, serve

    settings = ServerSettings(
        DEFAULT_PORT if port is None else port, not no_open, allow_live, unconfined
    )
    serve(settings, lambda address: click.echo(f"lkm web: {address}"))
    return 0
