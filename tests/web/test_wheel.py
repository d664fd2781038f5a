"""The wheel: the page is in it, and serves from an environment that has neither clone nor Node."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from pathlib import Path

import pytest

from lkm.web.app import STATIC

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (STATIC / "index.html").is_file():
        pytest.fail("the page is not built; run: make page", pytrace=False)
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"lkm/web/static/index.html", "lkm/web/static/export/index.html"} <= names
    assert {"lkm/web/recorded/life-hello.json", "lkm/examples/hello/hello.c"} <= names
    assert not [name for name in names if "node_modules" in name or "/web/ui/" in name]


def test_the_wheel_serves_the_page_without_node(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    libraries = sysconfig.get_paths()["purelib"]
    # The clone is not on the path: where it was installed by a .pth file, that is not read here.
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
        "PYTHONPATH": f"{site}{os.pathsep}{libraries}",
    }
    with subprocess.Popen(
        [sys.executable, "-S", "-m", "lkm", "web", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stdout is not None
        found = re.search(r"(http://\S+/)#token=(\S+)", process.stdout.readline())
        assert found is not None
        page = urllib.request.urlopen(found[1], timeout=60).read().decode()
        script = re.search(r'src="\./(assets/[^"]+\.js)"', page)
        assert script is not None
        assert urllib.request.urlopen(found[1] + script[1], timeout=60).status == 200
        process.terminate()
