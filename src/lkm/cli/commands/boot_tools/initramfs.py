"""Look into an initramfs: list it, describe it, extract it, compare two, ask why a module is in."""

from __future__ import annotations

import os
import stat
import time

import click

from lkm.boot.archive import ImageMember
from lkm.cli.output import print_json
from lkm.cli.view import Pairs, Styled, Table, one_line, show
from lkm.operations.boot import initramfs as operation

_IMAGE = click.argument("image", metavar="IMAGE", type=click.Path())
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")


@click.group("initramfs")
def command() -> None:
    """Look into an initramfs image, of any generator and compression.

    \b
    EXAMPLES
      lkm initramfs show /boot/initrd.img-$(uname -r)
      lkm initramfs why /boot/initrd.img-$(uname -r) nvme
      lkm initramfs diff /boot/initrd.img-OLD /boot/initrd.img-NEW
    """


@command.command("list")
@_IMAGE
@click.option("-l", "--long", "long", is_flag=True, help="With mode, owner, size and time.")
@_JSON
def list_(image: str, long: bool, as_json: bool) -> None:
    """List the members of IMAGE, as `lsinitramfs` does."""
    members = operation.list_members(image)
    if as_json:
        print_json("initramfs", members=list(members))
        return
    for member in members:
        click.echo(_long(member) if long else one_line(member.name))


def _long(member: ImageMember) -> str:
    kind = stat.filemode(member.mode)
    size = "{}, {}".format(*member.device) if kind[0] in "bc" else str(member.size)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(member.mtime))
    link = f" -> {member.link}" if member.link else ""
    owner = f"{member.uid}/{member.gid}"
    return one_line(f"{kind} {member.links:3} {owner:>9} {size:>10} {when} {member.name}{link}")


@command.command("show")
@_IMAGE
@click.option("--root", metavar="DIR", help="The system whose modprobe.d IMAGE is held against.")
@_JSON
def show_(image: str, root: str | None, as_json: bool) -> None:
    """Describe IMAGE: its generator, modules and rules, and what does not fit together in it."""
    report = operation.show_image(image, root)
    if as_json:
        print_json("initramfs", report=report)
        return
    facts = report.image
    parts = [f"{part.compression} at {part.offset:#x}" for part in facts.segments]
    releases = ", ".join(facts.releases) or "none"
    rows = (
        ("made by", facts.generator),
        ("size", f"{facts.size} bytes, {facts.files} files"),
        ("parts", "\n".join(parts)),
        ("microcode", "yes" if facts.microcode else "no"),
        ("modules", f"{len(facts.modules)}, for {releases}"),
        ("loaded early", ", ".join(f"{name} ({source})" for name, source in facts.loaded_early)),
        ("firmware", f"{len(facts.firmware)} files"),
        ("indexes", ", ".join(facts.indexes)),
    )
    problems = [
        *(
            (Styled("missing", "bad"), f"{name}, which {user} needs")
            for name, user in report.missing
        ),
        *(
            (Styled("other release", "bad"), f"{m.name} was built for {m.built_for}")
            for m in report.foreign
        ),
        *((Styled("unreadable", "bad"), m.problem) for m in facts.modules if m.problem),
        *(
            (Styled("stale rule", "warn"), f"{rule.kind} {rule.name} {rule.value} {_only(where)}")
            for where, rule in report.stale
        ),
    ]
    if report.missing_firmware:
        count = len(report.missing_firmware)
        first = ", ".join(f"{file} ({module})" for file, module in report.missing_firmware[:3])
        problems.append(
            (Styled("no firmware", "dim"), f"{count} files that modules may ask for: {first}")
        )
    rules = tuple((rule.kind, rule.name, rule.value, str(rule.source)) for rule in facts.rules)
    show(
        os.path.basename(image),
        "",
        [
            Pairs("Image", rows),
            Table("Rules", ("kind", "name", "value", "file"), rules),
            Table("Problems", ("what", "which"), tuple(problems)),
            Pairs("Not checked", tuple(("", text) for text in report.not_checked)),
        ],
    )


def _only(where: str) -> str:
    return "is in the image only" if where == "image" else "is not in the image"


@command.command("extract")
@_IMAGE
@click.argument("folder", type=click.Path())
def extract(image: str, folder: str) -> None:
    """Unpack IMAGE below FOLDER, which must not hold anything; no root is needed.

    Device nodes are not made, and owners are not kept.
    """
    count = operation.extract_image(image, folder)
    click.echo(f"{count} files below {folder}")


@command.command("diff")
@click.argument("before", metavar="OLD", type=click.Path())
@click.argument("after", metavar="NEW", type=click.Path())
@_JSON
def diff(before: str, after: str, as_json: bool) -> None:
    """Show what NEW has that OLD has not, and the reverse; exit status 1 where they differ."""
    difference = operation.compare_images(before, after)
    if as_json:
        print_json("initramfs", difference=difference)
    else:
        for sign, names in (
            ("-", difference.removed), ("+", difference.added), ("~", difference.changed)
        ):  # fmt: skip
            for name in names:
                click.echo(f"{sign} {one_line(name)}")
        for sign, rules in (("-", difference.rules_removed), ("+", difference.rules_added)):
            for rule in rules:
                text = one_line(f"{rule.kind} {rule.name} {rule.value}")
                click.echo(f"{sign} {text}   ({rule.source})")
    if difference.added or difference.removed or difference.changed or difference.rules_added \
            or difference.rules_removed:  # fmt: skip
        raise SystemExit(1)


@command.command("why")
@_IMAGE
@click.argument("module", metavar="MODULE")
@_JSON
def why(image: str, module: str, as_json: bool) -> None:
    """Say why MODULE is in IMAGE, or how to put it there; exit status 1 where it is absent."""
    presence = operation.why_in_image(image, module)
    if as_json:
        print_json("initramfs", presence=presence)
    else:
        _print_presence(presence)
    if presence.state == "absent":
        raise SystemExit(1)


def _print_presence(presence: operation.Presence) -> None:
    name = presence.module
    if presence.packed:
        click.echo(f"{name} is in the image: {one_line(presence.packed.path)}")
    elif presence.state == "built-in":
        click.echo(f"{name} is not in the image, and need not be: it is built into the kernel")
    else:
        click.echo(f"{name} is not in the image")
    for source in presence.named_by:
        click.echo(f"  named by {source}: it is loaded at the start")
    for chain in presence.needed_by:
        click.echo(f"  needed by {' → '.join(chain)}")
    if presence.packed and not presence.named_by and not presence.needed_by:
        click.echo("  neither named nor needed by another module: its generator chose it,")
        click.echo("  for the hardware it found or as one of the drivers a root may need")
    for rule in presence.held_back:
        text = one_line(f"{rule.kind} {rule.name} {rule.value}")
        click.echo(f"  but {text} ({rule.source}) keeps it from loading by an alias")
    for line in presence.advice:
        click.echo(f"  {line}")
