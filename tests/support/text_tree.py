"""Small trees written as text: modules.dep and its kin, empty module files, modprobe.d."""

from __future__ import annotations

from pathlib import Path

from lkm.tree.config import read_config
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root


def text_tree(root: Path, dependencies: str, config: str = "", **texts: str) -> Resolver:
    """Write release ``1`` below ``root`` and return a resolver of it.

    ``dependencies`` is modules.dep, ``config`` a modprobe.d file, ``texts`` further files by what
    follows ``modules.`` in their names. Files that modules.dep names are made, empty, unless
    their name has ``missing`` in it.
    """
    folder = root / "lib/modules/1"
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text(dependencies)
    for name, text in texts.items():
        (folder / f"modules.{name}").write_text(text)
    for path in dependencies.replace(":", " ").split():
        if not path.startswith(("/", "..")) and "missing" not in path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
    rules = root / "etc/modprobe.d/test.conf"
    rules.parent.mkdir(parents=True)
    rules.write_text(config)
    where = Root(root, "1")
    return Resolver(where, read_config(root=where, kernel_command_line=""))
