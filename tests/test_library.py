"""The public names, and the examples of docs/library.md, run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lkm
from lkm.build import kbuild
from tests.support.kernels import KernelFiles

ROOT = Path(__file__).parent.parent


def _examples() -> list[str]:
    text = (ROOT / "docs/library.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, kernel: KernelFiles) -> Path:
    for name in ("hello", "broken"):
        (module,) = kbuild.build(ROOT / "examples" / name, kernel.headers).modules
        shutil.copy(module, tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["emulated", "vm"])
def test_kernel(kind: str, folder: Path, kernel: KernelFiles) -> None:
    first = _examples()[0].replace('"emulated"', f'"{kind}:{kernel.release}"')
    told = subprocess.run(
        [sys.executable, "-c", first], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("hello Live 0xffffffffc")
    assert "'num': '42'" in told
    assert "some text" in told
    assert told.endswith("hello: goodbye, world\n")


def test_refusal_module_and_image(folder: Path, kernel: KernelFiles) -> None:
    _, refusal, module, image = _examples()
    script = (
        f"import lkm\nkernel = lkm.open_kernel('emulated:{kernel.release}')\n"
        "kernel.write_file('/sys/module/module/parameters/sig_enforce', '1')\n"
        + refusal
        + module
        + image.replace("/boot/vmlinuz-6.1.0-56-amd64", str(kernel.vmlinuz))
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert "Loading of unsigned module is rejected" in told
    assert "num int what hello_add adds" in told
    assert kernel.release in told


def test_public_names() -> None:
    for name in lkm.__all__:
        assert getattr(lkm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lkm.nothing


def test_import_is_cheap() -> None:
    script = (
        "import sys, lkm; heavy = {'unicorn', 'click', 'rich', 'cryptography', 'msgspec', 'lzma'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
