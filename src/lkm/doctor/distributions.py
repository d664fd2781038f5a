"""Whose machine it is, told by a release string, os-release or a path; and fixes in its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lkm.doctor.finding import Finding, Fix, Need


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one distribution calls things.

    ``release`` matches its kernels' release strings; its group ``flavour`` is put into commands,
    through ``flavours``. ``mark`` is text that its machines print; where it
    ``mark_decides``, whatever the release is. ``commands`` are templates
    with ``{release}``, ``{flavour}``, ``{version}`` (6.12), ``{short}`` (612) and ``{path}``;
    ``notes`` say in words what no command can. ``removes_modules``: an upgrade of the kernel
    takes the running one's modules away.
    """

    name: str
    ids: tuple[str, ...]
    release: re.Pattern[str]
    commands: Mapping[Need, tuple[str, ...]]
    mark: re.Pattern[str] | None = None
    mark_decides: bool = False
    notes: Mapping[Need, str] = field(default_factory=dict)
    flavours: Mapping[str, str] = field(default_factory=dict)
    removes_modules: bool = False


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """The machine a text comes from, as far as it tells: distribution, kernel release, and why."""

    distribution: Distribution | None = None
    release: str = ""
    why: str = ""


UNKNOWN_HOST = HostIdentity()

# What precedes a release in what kernels and tools print.
_RELEASE = re.compile(
    r"(?:/lib/modules/|Linux version |linux-headers-|/usr/src/(?:linux-headers-|kernels/|linux-)|"
    r"[Ff]or kernel:? |on kernel:? |kernel |[Bb]uilding for |KERNELRELEASE=|KVER(?:SION)?=|"
    r"should be '|magic '|uname -r:? |-k |tainted |Tainted: [A-Z\- ]{1,60} )"
    r"(?P<r>\d{1,2}\.\d{1,3}[\w.+~-]{0,120})"
)
_BARE = re.compile(r"(?<![\w.])(?P<r>\d{1,2}\.\d{1,3}\.\d{1,4}[-+_.][\w.+~-]{1,100})")
_OS_RELEASE = re.compile(r'(?P<key>ID|ID_LIKE|NAME|PRETTY_NAME)="?(?P<value>[^"\n]{1,80})"?$')


_BY_MARK, _BY_RELEASE, _BY_ID, _BY_HINT = range(4)


class Recogniser:
    """Tells the machine from the lines of a text, given one after the other."""

    def __init__(self, known: Sequence[Distribution]) -> None:
        self._known = known
        self._release = ""
        self._found: dict[int, tuple[Distribution, str]] = {}

    def read(self, text: str) -> None:
        """Take a line."""
        if self._is_settled or not _may_tell(text):
            return
        if match := _OS_RELEASE.match(text):
            self._by_id(match["value"])
        for match in _RELEASE.finditer(text[:2000]):
            self._by_release(match["r"].rstrip(".-_"))
        for known in self._known:
            if known.mark is not None and (found := known.mark.search(text[:2000])):
                rank = _BY_MARK if known.mark_decides else _BY_HINT
                self._note(rank, known, f"it says {found[0]!r}")

    def read_bare(self, text: str) -> None:
        """Take a line of which it is known that it is about a kernel."""
        if not self._is_settled:
            for match in _BARE.finditer(text[:2000]):
                self._by_release(match["r"].rstrip(".-_"))

    @property
    def _is_settled(self) -> bool:
        return _BY_MARK in self._found and bool(self._release)

    def _by_id(self, value: str) -> None:
        words = set(value.lower().replace("-", " ").split()) | {value.lower()}
        for known in self._known:
            if words & set(known.ids):
                self._note(_BY_ID, known, f"os-release says {value!r}")
                return

    def _by_release(self, release: str) -> None:
        self._release = self._release or release
        for known in self._known:
            if known.release.search(release):
                if _BY_RELEASE not in self._found:
                    self._release = release
                self._note(_BY_RELEASE, known, f"the kernel's release is {release}")
                return

    def _note(self, rank: int, known: Distribution, why: str) -> None:
        if rank not in self._found:
            self._found[rank] = (known, why)

    def host(self) -> HostIdentity:
        """Return what is known so far.

        The kernel's release counts more than os-release: a container, or WSL, runs another's.
        """
        if not self._found:
            return HostIdentity(None, self._release)
        known, why = self._found[min(self._found)]
        return HostIdentity(known, self._release, why)


_TELLING = (
    "/lib/modules/", "ersion ", "kernel", "eaders", "uilding for", "KVER", "should be", "uname",
    "ainted", "ID=", "NAME=", "/usr/src", "/nix/", "/home/", "wsl", "WSL", "icrosoft", "aspberry",
    "CONFIG", "pkg", "apt", "dnf", "zypper", "pacman", "/data/", "/vendor/", "emerge", "portage",
    "ubuntu", "Ubuntu", "ebian", "edora", "openSUSE", "dracut", "mkinitcpio", "dkms", "akmods",
    "-k ", "ostree", "opkg", "penWrt", "ynology",
)  # fmt: skip


def _may_tell(text: str) -> bool:
    return any(word in text for word in _TELLING)


def host_of(texts: Iterable[str], known: Sequence[Distribution]) -> HostIdentity:
    """Return the machine that ``texts``, a log's lines or an os-release file, tell of."""
    recogniser = Recogniser(known)
    for text in texts:
        recogniser.read(text.strip())
    return recogniser.host()


def host_of_release(
    release: str, known: Sequence[Distribution], os_release: str = ""
) -> HostIdentity:
    """Return the machine that runs the kernel ``release`` and has that os-release file."""
    recogniser = Recogniser(known)
    for line in os_release.splitlines():
        if line.startswith(("ID=", "ID_LIKE=")):
            recogniser.read(line)
    recogniser.read(f"kernel {release}")
    return replace(recogniser.host(), release=release)


def adapted(finding: Finding, host: HostIdentity) -> Finding:
    """Return ``finding`` with its fixes in the words of ``host``'s distribution."""
    if not any(fix.need for fix in finding.fixes):
        return finding
    fixes: list[Fix] = []
    for fix in finding.fixes:
        found = _adapted(fix, host)
        if found is not None:
            fixes.append(found)
    fixes.sort(key=lambda fix: not fix.text.startswith(_USUAL))
    return replace(finding, fixes=tuple(fixes))


_USUAL = "the usual cause on "


def _adapted(fix: Fix, host: HostIdentity) -> Fix | None:
    need = fix.need
    known = host.distribution
    if need is None:
        return fix
    if need is Need.REBOOT:
        return _reboot(fix, known)
    if known is None:
        return replace(
            fix,
            commands=_in_order(need, _anywhere(need, fix.about or host.release), fix),
            need=None,
        )
    steps = tuple(_fill(text, known, fix.about, host) for text in known.commands.get(need, ()))
    note = known.notes.get(need, "")
    if not steps and not note:
        return None if need in (Need.DKMS, Need.MODULES) else replace(fix, need=None)
    text = f"{fix.text} ({note})" if note else fix.text
    # Where nothing can be installed, what would be done with it cannot be either.
    can = steps or need in (Need.COMPILER, Need.INITRAMFS, Need.BOOT_OPTIONS)
    return Fix(text, _in_order(need, steps, fix) if can else ())


def _in_order(need: Need, steps: tuple[str, ...], fix: Fix) -> tuple[str, ...]:
    """Return what is installed before what is done with it; an initramfs is made last."""
    if need in (Need.INITRAMFS, Need.BOOT_OPTIONS):
        return (*fix.commands, *steps)
    return (*steps, *fix.commands)


def _reboot(fix: Fix, known: Distribution | None) -> Fix | None:
    if known is None:
        return replace(fix, need=None)
    if not known.removes_modules:
        return None
    return Fix(
        f"{_USUAL}{known.name}: the kernel was upgraded and the machine not rebooted since; the "
        f"upgrade "
        "removed the running kernel's modules",
        ("sudo reboot",),
    )


def _fill(template: str, known: Distribution, about: str, host: HostIdentity) -> str:
    is_path = about.startswith(("/", '"', "'", "$(modinfo"))
    release = (host.release if is_path or about in ("", "$(uname -r)") else about) or ""
    match = known.release.search(release)
    flavour = (match.groupdict().get("flavour") or "") if match else ""
    suffix = max(
        (key for key in known.flavours if release.endswith(f"-{key}")), key=len, default=""
    )
    flavour = known.flavours.get(flavour or suffix, flavour)
    version = re.match(r"(\d{1,3})\.(\d{1,4})", release)
    bare = re.match(r"\d{1,3}(?:\.\d{1,4}){1,3}", release)
    values = {
        "release": release or "$(uname -r)",
        "flavour": flavour,
        "version": version[0] if version else "VERSION",
        "short": version[1] + version[2] if version else "VERSION",
        "bare": bare[0] if bare else "VERSION",
        "path": about if is_path else '"$(modinfo -n MODULE)"',
    }
    text = template
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return text


def _anywhere(need: Need, about: str) -> tuple[str, ...]:
    """Return the commands of the three largest families, for a machine nothing is known of."""
    release = (
        about if about and not about.startswith(("/", '"', "'", "$(modinfo")) else "$(uname -r)"
    )
    path = about if about.startswith(("/", '"', "'", "$")) else '"$(modinfo -n MODULE)"'
    table: dict[Need, tuple[str, ...]] = {
        Need.HEADERS: (
            f"sudo apt-get install linux-headers-{release}    # Debian, Ubuntu",
            f"sudo dnf install kernel-devel-{release}    # Fedora, RHEL",
            "sudo pacman -S linux-headers    # Arch Linux",
        ),
        Need.MODULES: (
            f"sudo apt-get install linux-modules-extra-{release}    # Ubuntu",
            f"sudo dnf install kernel-modules-extra-{release}    # Fedora, RHEL",
        ),
        Need.KERNEL: (
            f"sudo apt-get install linux-image-{release}    # Debian, Ubuntu",
            f"sudo dnf install kernel-{release}    # Fedora, RHEL",
        ),
        Need.REINSTALL: (
            f'sudo apt-get install --reinstall "$(dpkg -S {path} | cut -d: -f1)"    # Debian',
            f'sudo dnf reinstall "$(rpm -qf {path})"    # Fedora, RHEL',
        ),
        Need.INITRAMFS: (
            "sudo update-initramfs -u    # Debian, Ubuntu",
            "sudo dracut --force    # Fedora, RHEL, SUSE",
            "sudo mkinitcpio -P    # Arch Linux",
        ),
        Need.BOOT_OPTIONS: (
            "sudoedit /etc/default/grub",
            "sudo update-grub    # Debian, Ubuntu; elsewhere: grub2-mkconfig -o "
            "/boot/grub2/grub.cfg",
        ),
        Need.COMPILER: (
            "sudo apt-get install build-essential    # Debian, Ubuntu",
            "sudo dnf install gcc make elfutils-libelf-devel    # Fedora, RHEL",
            "sudo pacman -S base-devel    # Arch Linux",
        ),
        Need.DKMS: (f"sudo dkms autoinstall -k {release}",),
    }
    return table.get(need, ())
