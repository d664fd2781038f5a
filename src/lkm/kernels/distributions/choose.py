"""Which package tool this distribution has: apt, dnf or pacman."""

from __future__ import annotations

import shutil

from lkm import files
from lkm.errors import ToolError
from lkm.kernels.distributions.apt import Apt
from lkm.kernels.distributions.dnf import Dnf
from lkm.kernels.distributions.pacman import Pacman
from lkm.kernels.packages import PackageSource

_TOOLS: dict[str, tuple[type[Apt | Dnf | Pacman], tuple[str, ...]]] = {
    "apt-get": (Apt, ("debian", "ubuntu")),
    "dnf": (Dnf, ("fedora", "rhel")),
    "pacman": (Pacman, ("arch",)),
}
"""For each program, what speaks to it and the ``ID`` of distributions whose own it is."""


def package_source(architecture: str | None = None, suite: str | None = None) -> PackageSource:
    """Return this distribution's package source, for ``architecture`` and ``suite`` if given.

    Both are called as the distribution calls them (``arm64``, ``bullseye``); without, they are
    the system's own. Where several tools are installed, os-release(5) decides, by ``ID`` and
    ``ID_LIKE``.
    """
    here = [program for program in _TOOLS if shutil.which(program)]
    own = _distribution()
    here.sort(key=lambda program: own.isdisjoint(_TOOLS[program][1]))
    if here:
        return _TOOLS[here[0]][0](architecture, suite)
    raise ToolError(
        f"no package tool that lkm can fetch kernels with ({', '.join(_TOOLS)})",
        hint="unpack the kernel's packages (image, modules, headers) yourself below "
        f"{files.cache_directory('kernels')}/RELEASE, so that lib/modules/RELEASE is there",
    )


def _distribution() -> frozenset[str]:
    import platform  # 10 ms that other commands can spare

    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return frozenset()
    return frozenset([found.get("ID", ""), *found.get("ID_LIKE", "").split()])
