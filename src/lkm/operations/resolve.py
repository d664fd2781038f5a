"""Resolve names as modprobe would, from a root's configuration and indexes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lkm.errors import NotFoundError
from lkm.tree.config import COMMAND_LINE, Config, read_config
from lkm.tree.indexes import Indexes
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root, find_root


def open_resolver(
    directory: str | None = None,
    release: str | None = None,
    *,
    config_paths: Sequence[str] | None = None,
    kernel_command_line: str = COMMAND_LINE,
) -> Resolver:
    """Return a resolver for a root directory, with the configuration that lies in it.

    Without ``release``, the running kernel's is taken if it is there, else the only one that is.
    Without ``directory`` it is ``/``; a named release whose modules are not there is looked for
    among the fetched kernels.
    """
    root = _named_root(release) if release and directory is None else None
    root = root or find_root(directory or "/", release)
    return _resolver(root, root.modules_directory, config_paths, kernel_command_line)


def _named_root(release: str) -> Root | None:
    """Return the fetched kernel's root directory, where this machine has no such modules itself."""
    if os.path.isdir(os.path.join(Root("/", release).modules_directory, "kernel")):
        return None
    from lkm.kernels.known import find_kernel  # modprobe, which starts often, has no use for it

    known = find_kernel(release)
    return Root(known.root, known.release)


def open_kmod_resolver(
    directory: str | None = None,
    release: str | None = None,
    config_paths: Sequence[str] | None = None,
) -> Resolver:
    """Return a resolver as kmod's modprobe makes one: the configuration is always the host's.

    ``directory`` and ``release`` are its ``-d`` and ``-S``.
    """
    root = Root(directory or "/", release)
    modules = root.modules_directory
    if not os.path.isabs(modules):
        modules = os.path.join(os.getcwd(), modules)
    paths = config_paths or Root("/").config_directories("modprobe.d")
    return _resolver(root, modules, paths, COMMAND_LINE)


def _resolver(
    root: Root, modules: str, config_paths: Sequence[str] | None, kernel_command_line: str
) -> Resolver:
    config: Config = read_config(
        config_paths or None,
        root=root,
        modules_directory=modules,
        kernel_command_line=kernel_command_line,
    )
    return Resolver(root, config, Indexes(modules))


def is_live(module: str) -> bool:
    """Whether ``module`` is live in the running kernel, by /sys/module."""
    try:
        with open(f"/sys/module/{module}/initstate", encoding="ascii") as file:
            return file.read() == "live\n"
    except OSError:
        return False


def indexed_root(release: str) -> Root:
    """Return the root directory that the kernel of that release belongs to.

    Raises NotFoundError when its modules are not here, or were never indexed.
    """
    from lkm.kernels.known import find_kernel  # as above

    known = find_kernel(release)
    root = Root(known.root, known.release)
    if not os.path.exists(f"{root.modules_directory}/modules.dep"):
        raise NotFoundError(
            f"the modules of kernel {known.release} are not indexed",
            hint=f"lkm depmod -b {known.root} {known.release}",
        )
    return root
