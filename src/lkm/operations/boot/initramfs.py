"""Read initramfs images: list, describe, extract, compare, and explain why a module is in one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm.boot.archive import ArchiveReader, ImageMember
from lkm.boot.image import InitramfsImage, PackedModule, opened, read_image
from lkm.errors import NotFoundError, UsageError
from lkm.kernels.unpack.folder import Unpacked
from lkm.module.names import normalize
from lkm.tree.config import Rule, read_config
from lkm.tree.root import Root

_PIECE = 1 << 20
_ADVICE = {
    "initramfs-tools": ("echo {module} | sudo tee -a /etc/initramfs-tools/modules",
                        "sudo update-initramfs -u -k {release}"),
    "dracut": ("echo 'add_drivers+=\" {module} \"' | sudo tee /etc/dracut.conf.d/{module}.conf",
               "sudo dracut --force --kver {release}"),
    "mkinitcpio": ("add {module} to MODULES=(...) in /etc/mkinitcpio.conf", "sudo mkinitcpio -P"),
    "booster": ("add {module} to modules_force_load in /etc/booster.yaml",
                "sudo /usr/lib/booster/regenerate_images"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image with what does not fit together in it.

    ``missing`` are dependencies that are neither in the image nor built in, with the module that
    needs each; ``foreign`` modules were built for another release than their folder's; ``stale``
    are modprobe.d rules that the image and ``root`` do not share, as ``image`` or ``root`` has
    them; ``missing_firmware`` names files that modules of the image ask for.
    """

    image: InitramfsImage
    missing: tuple[tuple[str, str], ...]
    foreign: tuple[PackedModule, ...]
    stale: tuple[tuple[str, Rule], ...]
    missing_firmware: tuple[tuple[str, str], ...]
    not_checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """The changes from one image to another: paths, and modules whose version or size differs."""

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    rules_added: tuple[Rule, ...]
    rules_removed: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """Why a module is in an image or not: ``state`` is ``packed``, ``built-in`` or ``absent``.

    ``named_by`` are files of the image that have it loaded; ``needed_by`` are chains of modules,
    each from one that nothing else needs down to the module; ``held_back`` are rules of the image
    that keep it from loading; ``advice`` says how its generator is told to add it.
    """

    module: str
    state: str
    packed: PackedModule | None
    named_by: tuple[str, ...]
    needed_by: tuple[tuple[str, ...], ...]
    held_back: tuple[Rule, ...]
    advice: tuple[str, ...]


def list_members(path: str | os.PathLike[str]) -> Iterator[ImageMember]:
    """Yield the members of an image in its order; raises FormatError for what is no initramfs."""
    with opened(path) as reader:
        yield from reader.members()


def show_image(path: str | os.PathLike[str], root: str | None = None) -> ImageReport:
    """Describe an image; ``root`` is the system whose modprobe.d it is held against."""
    image = read_image(path)
    names = {module.name for module in image.modules} | image.builtin
    missing = tuple(
        (needed, module.name)
        for module in image.modules
        for needed in module.depends
        if needed not in names
    )
    has = set(image.firmware)
    packed = has | {name.removesuffix(suffix) for name in has for suffix in (".xz", ".zst")}
    missing_firmware = tuple(
        (file, module.name)
        for module in image.modules
        for file in module.firmware
        if file not in packed and "*" not in file
    )
    stale: tuple[tuple[str, Rule], ...] = ()
    unchecked = []
    if root is None:
        unchecked.append("modprobe.d of the system: name it with --root")
    else:
        stale = _stale(image, root)
    if not image.builtin:
        unchecked.append("built-in modules: the image has no modules.builtin")
    return ImageReport(
        image=image,
        missing=missing,
        foreign=tuple(m for m in image.modules if m.built_for and m.built_for != m.release),
        stale=stale,
        missing_firmware=missing_firmware,
        not_checked=tuple(unchecked),
    )


def extract_image(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> int:
    """Unpack an image below ``folder``, which must be empty or absent; return how many files.

    Nothing is written outside of it; device nodes are not made, owners and set-user-ID bits are
    not kept. Raises UsageError where ``folder`` holds something.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder", hint="name a folder that is not there")
    target.mkdir(parents=True, exist_ok=True)
    unpacked = Unpacked(target, unwanted=())
    unpacked.begin(Path(path))
    count = 0
    with opened(path) as reader:
        for member, content, others in _with_links(reader):
            if stat.S_ISDIR(member.mode):
                unpacked.directory(member.name)
            elif stat.S_ISLNK(member.mode):
                unpacked.symbolic_link(member.name, member.link)
            elif member.is_file and (file := unpacked.file(member.name, member.mode, len(content))):
                with file:
                    file.write(content)
                for other in others:
                    unpacked.hard_link(other, member.name)
                count += 1 + len(others)
    unpacked.finish()
    return count


def _with_links(reader: ArchiveReader) -> Iterator[tuple[ImageMember, bytes, list[str]]]:
    """Yield members, their content, and the other names of a file that has several.

    Of the names of one file only the last comes with the content, as cpio writes them.
    """
    waiting: dict[tuple[int, int], list[ImageMember]] = {}
    for member in reader.members():
        key = (member.segment.number, member.inode)
        if member.is_file and member.links > 1 and not member.size:
            waiting.setdefault(key, []).append(member)
            continue
        others = waiting.pop(key, []) if member.is_file and member.links > 1 else []
        content = reader.content() if member.is_file else b""
        yield member, content, [other.name for other in others]
    for first, *others in waiting.values():
        yield first, b"", [other.name for other in others]


def compare_images(
    before: str | os.PathLike[str], after: str | os.PathLike[str]
) -> ImageDifference:
    """Compare two images: members by name, type and size, modules by version, rules by text."""
    old, new = _sizes(before), _sizes(after)
    old_image, new_image = read_image(before), read_image(after)
    versions = {m.path: (m.version, m.built_for) for m in old_image.modules}
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    changed |= {
        m.path
        for m in new_image.modules
        if m.path in versions and versions[m.path] != (m.version, m.built_for)
    }
    old_rules, new_rules = (_by_text(image.rules) for image in (old_image, new_image))
    return ImageDifference(
        before=os.fspath(before),
        after=os.fspath(after),
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(changed)),
        rules_added=tuple(new_rules[text] for text in new_rules if text not in old_rules),
        rules_removed=tuple(old_rules[text] for text in old_rules if text not in new_rules),
    )


def why_in_image(path: str | os.PathLike[str], name: str) -> Presence:
    """Say why a module is in an image, or how it would be put there.

    Raises NotFoundError when the image holds no modules at all, and so says nothing of any.
    """
    image = read_image(path)
    module = normalize(name)
    packed = image.module(module)
    if not image.modules and module not in image.builtin:
        raise NotFoundError(
            f"{image.path} holds no modules",
            hint="its kernel has all it needs built in, or the image is only microcode",
        )
    state = "packed" if packed else "built-in" if module in image.builtin else "absent"
    return Presence(
        module=module,
        state=state,
        packed=packed,
        named_by=tuple(source for listed, source in image.loaded_early if listed == module),
        needed_by=tuple(_chains(image, module)) if packed else (),
        held_back=tuple(
            rule
            for rule in image.rules
            if rule.name == module and rule.kind in ("blacklist", "install")
        ),
        advice=_advice(image, module) if state == "absent" else (),
    )


def _stale(image: InitramfsImage, root: str) -> tuple[tuple[str, Rule], ...]:
    host = read_config(root=Root(root), kernel_command_line="")
    theirs = _by_text(rule for rule in host.rules if not rule.source.path.endswith("dep"))
    ours = _by_text(image.rules)
    return (
        *(("image", ours[text]) for text in ours if text not in theirs),
        *(("root", theirs[text]) for text in theirs if text not in ours),
    )


def _by_text(rules: Iterable[Rule]) -> dict[tuple[str, str, str], Rule]:
    found: dict[tuple[str, str, str], Rule] = {}
    for rule in rules:
        found.setdefault((rule.kind, rule.name, " ".join(rule.value.split())), rule)
    return found


def _sizes(path: str | os.PathLike[str]) -> dict[str, tuple[int, int, str]]:
    return {
        member.name: (stat.S_IFMT(member.mode), member.size, member.link)
        for member in list_members(path)
    }


def _chains(image: InitramfsImage, module: str, most: int = 5) -> Iterator[tuple[str, ...]]:
    """Yield chains of dependents that end in ``module``, from modules that nothing depends on."""
    dependents: dict[str, list[str]] = {}
    for other in image.modules:
        for needed in (*other.depends, *other.softdeps):
            dependents.setdefault(needed, []).append(other.name)
    found = 0
    waiting: list[tuple[str, ...]] = [(user, module) for user in sorted(dependents.get(module, ()))]
    seen = {module}
    while waiting and found < most:
        chain = waiting.pop(0)
        if chain[0] in seen:
            continue
        seen.add(chain[0])
        above = [user for user in sorted(dependents.get(chain[0], ())) if user not in chain]
        if above:
            waiting += [(user, *chain) for user in above]
        else:
            found += 1
            yield chain


def _advice(image: InitramfsImage, module: str) -> tuple[str, ...]:
    release = image.releases[-1] if image.releases else "RELEASE"
    return tuple(
        line.format(module=module, release=release) for line in _ADVICE.get(image.generator, ())
    )
