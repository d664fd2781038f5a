"""The way to build a source tree that its dkms.conf gives: its patches, scripts and make line.

Source: dkms(8), and dkms's ``do_build``, ``prepare_build`` and ``actual_build``.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from lkm.build import dkms_conf
from lkm.build.dkms_conf import Circumstances, DkmsConf
from lkm.build.ways import BuildTarget, BuildWay, kernel_variables
from lkm.errors import UnsupportedError

NAME = "its dkms.conf"
_NO_FOLDER = "/nonexistent"


def find(folder: Path, target: BuildTarget, tree: Path) -> BuildWay | None:
    """Return the way that ``folder``'s dkms.conf gives; ``None`` where it has none that is usable.

    ``tree`` is made into what dkms calls its tree: ``NAME/VERSION/build`` there leads to
    ``folder``. Raises UnsupportedError where the file says that it is not for this kernel.
    """
    path = folder / "dkms.conf"
    if not path.is_file():
        return None
    conf = _read(path, target, tree, "", "")
    name, version = conf.package_name or folder.name, conf.package_version or "0"
    if not _is_plain(name) or not _is_plain(version):
        return None
    build = tree / name / version / "build"
    conf = _read(path, target, tree, name, version)
    if conf.is_excluded:
        raise UnsupportedError(
            f"{name} is not for kernel {target.release}, by the BUILD_EXCLUSIVE of its dkms.conf",
            hint="choose another kernel: --kernel emulated:RELEASE; or build it nevertheless: "
            "lkm try --make DKMS=no",
        )
    build.parent.mkdir(parents=True, exist_ok=True)
    if not build.is_symlink():
        build.symlink_to(folder)
    commands: list[tuple[str, ...]] = [
        ("patch", "-p1", "-i", f"patches/{patch}") for patch in conf.patches
    ]
    if script := conf.scripts.get("pre_build"):
        commands.append(("sh", "-c", f"./{script.removeprefix('./')}"))
    commands.append(("bash", "-c", _with_jobs(conf.make, target.release)))
    return BuildWay(
        NAME,
        build,
        tuple(commands),
        kernel_variables(folder, target),
        modules=tuple(module.built for module in conf.fitting),
        environment=_environment(name, version, target, tree),
    )


def _read(path: Path, target: BuildTarget, tree: Path, name: str, version: str) -> DkmsConf:
    config = target.headers / ".config"
    circumstances = Circumstances(
        module=name,
        version=version,
        kernel=target.release,
        arch=platform.machine(),
        dkms_tree=os.fspath(tree),
        source_tree=os.fspath(path.parent.parent),
        install_tree="/lib/modules",
        tmp=os.environ.get("TMPDIR", "/tmp"),
        kernel_source=os.fspath(target.headers),
        kernel_config=os.fspath(config),
        distribution="",
        etc=_NO_FOLDER,  # an administrator's changes are not the author's
    )
    (conf,) = dkms_conf.read([(circumstances, os.fspath(path))])
    return conf


def _environment(name: str, version: str, target: BuildTarget, tree: Path) -> dict[str, str]:
    return {
        "kernelver": target.release,
        "kernel_source_dir": os.fspath(target.headers),
        "dkms_tree": os.fspath(tree),
        "source_tree": os.fspath(tree),
        "module": name,
        "module_version": version,
        "arch": platform.machine(),
    }


def _is_plain(word: str) -> bool:
    return re.fullmatch(r"[\w.+~:-]+", word) is not None and word not in (".", "..")


def _with_jobs(make: str, release: str) -> str:
    """Return the command as dkms runs it: after the letters ``make``, what it gives to each."""
    if not make.startswith("make"):
        return make
    return f"make -j{os.cpu_count() or 1} KERNELRELEASE={release}{make.removeprefix('make')}"
