"""Killed at any moment, what is written is the old or the new, never torn."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lkm.module import signature
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.trees import kmod_depmod, linked_tree

_WRITE = """
import sys
from lkm import files
number = 0
while True:
    number += 1
    files.write_atomic(sys.argv[1], bytes([number % 256]) * 3_000_000)
"""
_SIGN = """
import sys
from lkm.cli.main import run
while True:
    run(["lkm", "sign", *sys.argv[1:]])
    run(["lkm", "strip-signature", sys.argv[-1]])
"""


def kill_at(command: list[str], seconds: float) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def rounds(count: int) -> list[float]:
    chance = random.Random(count)
    return [0.15 + chance.random() * 0.25 for _ in range(count)]


def check_writes(path: Path, count: int) -> None:
    path.write_bytes(bytes(3_000_000))
    for seconds in rounds(count):
        kill_at([sys.executable, "-c", _WRITE, str(path)], seconds)
        data = path.read_bytes()
        assert len(data) == 3_000_000
        assert data.count(data[0]) == len(data)


def check_signing(folder: Path, count: int) -> None:
    key, certificate = folder / "k.priv", folder / "k.der"
    subject = ["-subj", "/CN=test", "-addext", "keyUsage=digitalSignature"]
    subprocess.run(
        ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject,
         "-outform", "DER", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    plain = built("good").read_bytes()
    module = folder / "good.ko"
    module.write_bytes(plain)
    words = ["--key", str(key), "--cert", str(certificate), str(module)]
    for seconds in rounds(count):
        kill_at([sys.executable, "-c", _SIGN, *words], 1 + seconds * 3)
        assert signature.strip(module.read_bytes()) == plain


def check_depmod(folder: Path, count: int) -> None:
    kernel = kernel_files()
    tree = linked_tree(kernel, folder)
    assert kmod_depmod(folder, kernel.release).returncode == 0
    whole = {path.name: path.read_bytes() for path in tree.glob("modules.*.bin")}
    command = [sys.executable, "-m", "lkm", "depmod", "-b", str(folder), kernel.release]
    for seconds in rounds(count):
        kill_at(command, 0.3 + seconds * 4)
        for name, data in whole.items():
            assert (tree / name).read_bytes() == data, name


def test_a_few_kills(tmp_path: Path) -> None:
    check_writes(tmp_path / "file", 6)


@pytest.mark.full
def test_two_hundred_kills(tmp_path: Path) -> None:
    check_writes(tmp_path / "file", 100)
    check_signing(tmp_path, 50)
    (tmp_path / "root").mkdir()
    check_depmod(tmp_path / "root", 50)
    assert os.listdir(tmp_path / "root") != []
