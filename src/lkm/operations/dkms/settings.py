"""What the DKMS operations are told: the command line, and the framework's configuration."""

from __future__ import annotations

import os

from lkm.build import dkms_shell
from lkm.build.dkms_tree import DkmsTree, KernelTarget
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

COMPATIBLE = "dkms-3.4.3"
"""The program whose place is taken, as its ``--version`` prints it."""

_FRAMEWORK = (
    "source_tree",
    "dkms_tree",
    "install_tree",
    "tmp_location",
    "verbose",
    "symlink_modules",
    "autoinstall_all_kernels",
    "modprobe_on_install",
    "parallel_jobs",
    "compress_gzip_opts",
    "compress_xz_opts",
    "compress_zstd_opts",
    "build_environment",
    "post_transaction",
)
_SIGNING = ("sign_file", "mok_signing_key", "mok_certificate", "try_sign_modules")
_FROM_ENVIRONMENT = (
    "modprobe_on_install",
    "parallel_jobs",
    "build_environment",
    "post_transaction",
    *_SIGNING,
)
_DEFAULTS = {
    "source_tree": "/usr/src",
    "dkms_tree": "/var/lib/dkms",
    "install_tree": "/lib/modules",
    "compress_xz_opts": "--check=crc32 --lzma2=dict=1MiB",
    "compress_zstd_opts": "-q --rm -T0",
}


class DkmsSigner(Record):
    """What signs: dkms's program, the digest, the key and its certificate."""

    program: str
    digest: str
    key: str
    certificate: str


class DkmsSettings(Record):
    """Where things are and what was asked for; names as dkms(8) has its options."""

    dkms_tree: str
    source_tree: str
    install_tree: str
    tmp: str
    distribution: str
    framework: Mapping[str, str]
    root: str = ""
    module: str = ""
    version: str = ""
    targets: tuple[KernelTarget, ...] = ()
    conf: str = ""
    kernel_config: str = ""
    kernel_source: str = ""
    archive: str = ""
    source: str = ""
    template_kernel: str = ""
    directives: tuple[str, ...] = ()
    all: bool = False
    force: bool = False
    force_version_override: bool = False
    no_depmod: bool = False
    modprobe_on_install: bool = False
    symlink_modules: bool = False
    rpm_safe_upgrade: bool = False
    source_only: bool = False
    binaries_only: bool = False
    verbose: bool = False
    jobs: str = ""
    sandbox: bool = False

    @property
    def tree(self) -> DkmsTree:
        """The DKMS tree."""
        return DkmsTree(self.dkms_tree, self.source_tree)

    @property
    def etc(self) -> str:
        """The administrator's folder."""
        return f"{self.root}/etc/dkms"

    @property
    def module_location(self) -> str:
        """Where the distribution puts all modules; empty: where each package says."""
        addon = self.framework.get("addon_modules_dir", "")
        if addon:
            return f"/{addon}"
        for start, location in _LOCATIONS.items():
            if self.distribution.startswith(start):
                return location
        return ""


_LOCATIONS = {
    "fedora": "/extra",
    "rhel": "/extra",
    "ovm": "/extra",
    "sles": "/updates",
    "suse": "/updates",
    "opensuse": "/updates",
    "debian": "/updates/dkms",
    "ubuntu": "/updates/dkms",
    "arch": "/updates/dkms",
}


def framework_files(root: str) -> tuple[str, ...]:
    """Return framework.conf and what is in framework.conf.d, in order."""
    folder = f"{root}/etc/dkms/framework.conf.d"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except OSError:
        names = []
    own = [f"{folder}/{name}" for name in names if not name.startswith(".")]
    return (f"{root}/etc/dkms/framework.conf", *own)


def read_framework(root: str, tmp: str) -> dict[str, str]:
    """Return what the framework's files set, over dkms's defaults and some of the environment."""
    values = {
        name: f"{root}{path}" if path[:1] == "/" else path for name, path in _DEFAULTS.items()
    }
    values["tmp_location"] = tmp
    values.update(_environment(_FROM_ENVIRONMENT))
    values.update(_read(root, _FRAMEWORK, values))
    values["addon_modules_dir"] = _addon_folder(root)
    return values


def read_signing(root: str, framework: Mapping[str, str], target: KernelTarget) -> dict[str, str]:
    """Return what the framework's files say of signing, where ``$kernelver`` may be used."""
    values = _environment(_SIGNING)
    visible = {**framework, **values, "kernelver": target.kernel, "arch": target.arch}
    return {**values, **_read(root, _SIGNING, visible)}


def read_post_transaction(root: str, framework: Mapping[str, str], target: KernelTarget) -> str:
    """Return the command for the end, in which ``$kernelver`` may be used."""
    visible = {**framework, "kernelver": target.kernel, "arch": target.arch}
    found = _read(root, ("post_transaction",), visible)
    return found.get("post_transaction", framework.get("post_transaction", ""))


def _environment(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _read(root: str, names: tuple[str, ...], visible: Mapping[str, str]) -> dict[str, str]:
    files = tuple(path for path in framework_files(root) if _says_anything(path))
    if not files:
        return {}
    job = dkms_shell.Job(files, {n: v for n, v in visible.items() if n not in names})
    # What is set already stays so in the shell that reads the files, as in dkms's own.
    kept = dkms_shell.Job(job.files, {**job.visible, **{n: visible.get(n, "") for n in names}})
    [answer] = dkms_shell.read([kept], names)
    return {name: array.get(0, "") for name, array in answer.values.items()}


def _says_anything(path: str) -> bool:
    """Whether a file has more than comments, so that a shell must read it."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return any(line.strip() and not line.lstrip().startswith("#") for line in file)
    except OSError:
        return False


def _addon_folder(root: str) -> str:
    given = os.environ.get("ADDON_MODULES_DIR", "")
    path = f"{root}/etc/sysconfig/module-init-tools"
    if given or not os.path.exists(path):
        return given
    [answer] = dkms_shell.read([dkms_shell.Job((path,), {})], ("ADDON_MODULES_DIR",))
    return answer.values.get("ADDON_MODULES_DIR", {}).get(0, "")


def distribution(root: str) -> str:
    """Return the first word of os-release's ID_LIKE, or ID; ``ubuntu`` stays itself."""
    for path in (f"{root}/etc/os-release", f"{root}/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                pairs = [line.strip().partition("=") for line in file]
        except OSError:
            continue
        fields = {name: value.strip("\"'") for name, _, value in pairs}
        if fields.get("ID") == "ubuntu":
            return "ubuntu"
        return fields.get("ID_LIKE") or fields.get("ID", "")
    return ""


def jobs(given: str | None, framework: Mapping[str, str]) -> str:
    """Return what follows ``make -j``: a number, or nothing for no limit."""
    number = given if given is not None else framework.get("parallel_jobs", "")
    number = number or str(len(os.sched_getaffinity(0)))
    return "" if number == "0" else number
