"""The scripts by which package managers and systemd call dkms, written into a root.

The places and the arguments are those of dkms's own packages: Debian's ``kernel-*.d`` folders and
``/usr/lib/dkms``, kernel-install's ``install.d``, pacman's hooks, and ``dkms.service``.
"""

from __future__ import annotations

import os

from lkm import files
from lkm.record import Record

MARK = "# Written by `lkm dkms hooks install`."
FAMILIES = ("debian", "kernel-install", "pacman", "systemd", "command")

_STRICT = "/etc/dkms/strict-hooks"
_KERNEL_HOOK = f"""#!/bin/sh
{MARK}
# A package that cannot be built is named and does not stop the kernel's installation,
# unless {_STRICT} exists.
kernel=${{1:?kernel release}}
command -v dkms >/dev/null || exit 0
if [ ! -e "/lib/modules/$kernel/build/include" ]; then
    if [ -n "$(dkms status 2>/dev/null)" ]; then
        echo "dkms: kernel $kernel has no headers yet: nothing is built for it" >&2
    fi
    exit 0
fi
dkms autoinstall --kernelver "$kernel" && exit 0
status=$?
echo "dkms: not all packages could be built for kernel $kernel: lkm dkms doctor -k $kernel" >&2
[ ! -e {_STRICT} ] || exit "$status"
exit 0
"""
_PREINST = f"""#!/bin/sh
{MARK}
command -v dkms >/dev/null && dkms kernel_preinst --kernelver "${{1:?kernel release}}"
exit 0
"""
_PRERM = f"""#!/bin/sh
{MARK}
command -v dkms >/dev/null && dkms kernel_prerm --kernelver "${{1:?kernel release}}"
exit 0
"""
_KERNEL_INSTALL = f"""#!/bin/sh
{MARK}
command -v dkms >/dev/null || exit 0
case "$1" in
add) dkms kernel_postinst --kernelver "$2" ;;
remove) dkms kernel_prerm --kernelver "$2" ;;
esac
exit 0
"""
_AUTOINSTALLER = f"""#!/bin/sh
{MARK}
[ "$1" = start ] || exit 0
kernel=${{2:-$(uname -r)}}
if [ ! -e "/lib/modules/$kernel/build/include" ]; then
    echo "Automatic installation of modules for kernel $kernel was skipped since the \
kernel headers for this kernel do not seem to be installed."
    exit 0
fi
dkms autoinstall --kernelver "$kernel" || exit 1
"""
_POSTINST = f"""#!/bin/sh
{MARK}
# common.postinst NAME VERSION [TARBALL_ROOT [ARCH [UPGRADE]]]
exec dkms configure "${{1:?name}}/${{2:?version}}" ${{4:+-a "$4"}}
"""
_PACMAN_INSTALL = f"""{MARK}
[Trigger]
Operation = Install
Operation = Upgrade
Type = Path
KernelTarget = usr/lib/modules/*/vmlinuz
KernelTarget = usr/lib/modules/*/build/include/
KernelTarget = usr/src/*/dkms.conf

[Action]
Description = Building DKMS packages...
Depends = dkms
Exec = /bin/sh -c 'for k in /usr/lib/modules/*/build/include; do k=${{k%/build/include}}; \
dkms autoinstall -k "${{k##*/}}" || :; done'
When = PostTransaction
"""
_PACMAN_REMOVE = f"""{MARK}
[Trigger]
Operation = Remove
Operation = Upgrade
Type = Path
KernelTarget = usr/lib/modules/*/vmlinuz

[Action]
Description = Removing the modules of DKMS packages...
Depends = dkms
Exec = /bin/sh -c 'while read -r k; do k=${{k%/vmlinuz}}; dkms kernel_prerm -k "${{k##*/}}"; done'
NeedsTargets
When = PreTransaction
"""
_SERVICE = f"""{MARK}
[Unit]
Description=Builds and installs the modules of DKMS packages
Documentation=man:dkms(8)
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target graphical.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/usr/sbin/dkms autoinstall --verbose --kernelver %v

[Install]
WantedBy=multi-user.target
"""
_COMMAND = f"""#!/bin/sh
{MARK}
exec lkm dkms "$@"
"""

_FILES: dict[str, dict[str, tuple[str, int]]] = {
    "debian": {
        "etc/kernel/postinst.d/dkms": (_KERNEL_HOOK, 0o755),
        "etc/kernel/header_postinst.d/dkms": (_KERNEL_HOOK, 0o755),
        "etc/kernel/preinst.d/dkms": (_PREINST, 0o755),
        "etc/kernel/prerm.d/dkms": (_PRERM, 0o755),
        "usr/lib/dkms/dkms_autoinstaller": (_AUTOINSTALLER, 0o755),
        "usr/lib/dkms/common.postinst": (_POSTINST, 0o755),
    },
    "kernel-install": {"usr/lib/kernel/install.d/40-dkms.install": (_KERNEL_INSTALL, 0o755)},
    "pacman": {
        "usr/share/libalpm/hooks/70-dkms-install.hook": (_PACMAN_INSTALL, 0o644),
        "usr/share/libalpm/hooks/71-dkms-remove.hook": (_PACMAN_REMOVE, 0o644),
    },
    "systemd": {"usr/lib/systemd/system/dkms.service": (_SERVICE, 0o644)},
    "command": {"usr/sbin/dkms": (_COMMAND, 0o755)},
}


class HookFile(Record):
    """A file of the hooks and what became of it: ``written``, ``removed``, ``foreign``, ``same``.

    A ``foreign`` one is somebody else's and was left alone.
    """

    path: str
    outcome: str


def install(root: str, families: tuple[str, ...], *, replace: bool) -> list[HookFile]:
    """Write the hooks below ``root``; another's files are replaced only with ``replace``."""
    done = []
    for path, text, mode in _chosen(root, families):
        found = _read(path)
        if found == text:
            done.append(HookFile(path, "same"))
        elif found is not None and MARK not in found and not replace:
            done.append(HookFile(path, "foreign"))
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write_atomic(path, text.encode(), mode=mode)
            done.append(HookFile(path, "written"))
    return done


def remove(root: str, families: tuple[str, ...]) -> list[HookFile]:
    """Remove the hooks below ``root`` that are ours."""
    done = []
    for path, _, _ in _chosen(root, families):
        found = _read(path)
        if found is None:
            continue
        if MARK not in found:
            done.append(HookFile(path, "foreign"))
            continue
        os.unlink(path)
        done.append(HookFile(path, "removed"))
    return done


def _chosen(root: str, families: tuple[str, ...]) -> list[tuple[str, str, int]]:
    base = root.rstrip("/")
    return [
        (f"{base}/{path}", text, mode)
        for family in families
        for path, (text, mode) in _FILES[family].items()
    ]


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None
