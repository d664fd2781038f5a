"""A root directory and a kernel release, and the paths that follow from them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lkm.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Root:
    """A root directory (``/``, a chroot, an image's staging folder) and a kernel release in it.

    The release needs not be the running kernel's, nor its architecture this machine's.
    """

    directory: str
    release: str

    def __init__(self, directory: str | os.PathLike[str] = "/", release: str | None = None) -> None:
        object.__setattr__(self, "directory", os.fspath(directory))
        object.__setattr__(self, "release", release or os.uname().release)

    @property
    def modules_directory(self) -> str:
        """``lib/modules/RELEASE``; ``usr/lib/modules/RELEASE`` where there is no ``lib``."""
        for lib in ("lib", "usr/lib"):
            directory = self.path(f"{lib}/modules/{self.release}")
            if os.path.isdir(directory):
                return directory
        return self.path(f"lib/modules/{self.release}")

    def path(self, inside: str) -> str:
        """Return where ``inside`` (a path without leading slash) is on this machine."""
        return f"{self.directory.rstrip('/')}/{inside}"

    def config_directories(self, name: str) -> tuple[str, ...]:
        """Return the directories called ``name`` (``modprobe.d``), the strongest first.

        ``usr/lib`` and ``lib`` are told once where they are the same.
        """
        found: dict[str, str] = {}
        for parent in ("etc", "run", "usr/local/lib", "usr/lib", "lib"):
            directory = self.path(f"{parent}/{name}")
            found[os.path.realpath(directory)] = directory
        return tuple(found.values())


def find_root(directory: str | os.PathLike[str] = "/", release: str | None = None) -> Root:
    """Return the root with a release that is there: the one asked for, the running one, the only.

    Raises NotFoundError when none is named and several could be meant.
    """
    root = Root(directory, release)
    if release or os.path.isdir(root.modules_directory):
        return root
    parent = os.path.dirname(root.modules_directory)
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    trees = [name for name in names if _is_tree(os.path.join(parent, name))]
    if len(trees) != 1:
        raise NotFoundError(
            f"{parent} has {'no' if not trees else 'more than one'} module tree",
            hint="name the kernel release"
            if trees
            else "fetch a kernel with its modules: lkm kernels fetch amd64 --headers"
            if os.fspath(directory) == "/"
            else f"{directory} is no root directory with lib/modules in it",
        )
    return Root(directory, trees[0])


def _is_tree(directory: str) -> bool:
    """Whether there are modules, and not only the links of header packages."""
    return any(os.path.exists(f"{directory}/{name}") for name in ("modules.dep", "kernel"))
