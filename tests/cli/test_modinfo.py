"""``lkm modinfo`` prints what the machine's own modinfo prints, byte for byte."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lkm.module.compression import Compression, compress
from tests.support import corrupt, modules
from tests.support.corrupt import mutant
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.shapes import SHAPES, module
from tests.support.tools import kmod, lkm


def sample(kernel: KernelFiles, count: int) -> list[Path]:
    """The same modules every time, from all over the tree."""
    paths = sorted(kernel.modules.rglob("*.ko*"))
    return random.Random(2).sample(paths, count)


def same(*arguments: object, folder: Path | None = None) -> bytes:
    ours, real = (
        lkm("modinfo", *arguments, folder=folder),
        kmod("modinfo", *arguments, folder=folder),
    )
    assert ours == real
    return ours[1]


def test_a_sample_of_200_modules(kernel: KernelFiles) -> None:
    shown = same(*sample(kernel, 200))
    assert shown.count(b"filename:       /") == 200


@pytest.mark.full
def test_every_module(kernel: KernelFiles) -> None:
    paths = sorted(kernel.modules.rglob("*.ko"))
    assert len(paths) > 4000
    assert same(*paths).count(b"filename:       /") == len(paths)


@pytest.mark.full
@pytest.mark.parametrize("kind", [Compression.XZ, Compression.ZSTD])
def test_every_module_compressed(kernel: KernelFiles, kind: Compression, tmp_path: Path) -> None:
    paths = sorted(kernel.modules.rglob("*.ko"))
    for start in range(0, len(paths), 500):
        same(*packed(paths[start : start + 500], kind, tmp_path))


@pytest.mark.full
@pytest.mark.parametrize("series", ["5.10.", "6.12.", "7."])
def test_every_module_of_other_kernels(series: str) -> None:
    paths = sorted(kernel_files(series).modules.rglob("*.ko*"))
    assert len(paths) > 3500
    same(*paths)


@pytest.mark.parametrize("kind", [Compression.XZ, Compression.ZSTD])
def test_compressed_modules(kernel: KernelFiles, kind: Compression, tmp_path: Path) -> None:
    same(*packed(sample(kernel, 30), kind, tmp_path))


def test_gzip_says_the_same_as_the_plain_file(kernel: KernelFiles, tmp_path: Path) -> None:
    # Debian's kmod is built without zlib.
    plain = modules.built("params")
    (gzip,) = packed([plain], Compression.GZIP, tmp_path)
    status, shown, _ = lkm("modinfo", gzip)
    assert status == 0
    assert shown.replace(str(gzip).encode(), str(plain).encode()) == kmod("modinfo", plain)[1]


def packed(paths: list[Path], kind: Compression, folder: Path) -> list[Path]:
    for old in folder.iterdir():
        old.unlink()
    results = []
    for path in paths:
        results.append(folder / f"{path.stem}.ko{kind.suffix}")
        results[-1].write_bytes(compress(path.read_bytes(), kind))
    return results


@pytest.mark.parametrize("name", modules.names())
def test_our_own_modules(name: str) -> None:
    same(modules.built(name))


OPTIONS = [
    ["-a"],
    ["-d"],
    ["-l"],
    ["-p"],
    ["-n"],
    ["-0"],
    ["-0p"],
    ["-F", "alias"],
    ["-F", "parm"],
    ["-F", "parmtype"],
    ["-F", "sig_key"],
    ["-F", "signature", "-0"],
    ["-F", "nosuch"],
    ["-F", "License"],
    ["-F", "name", "-d"],
    ["--fie=depends"],
    ["-a", "--null", "--filename"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_options(kernel: KernelFiles, options: list[str]) -> None:
    same(*options, modules.built("described"), modules.built("params"), *sample(kernel, 10))


NAMES = [
    "e1000e",
    "snd-hda-intel",
    "snd_hda_intel",
    "pci:v00008086d000010D3sv00001028sd00000001bc02sc00i00",
    "fs-ext3",
    "symbol:scsi_add_device",
    "crypto-sha1-generic",
    "char-major-10-175",
    "aes",
    "zpool",
    "libblake2s-x86_64",
    "nosuchmodule",
    "[x",
    "cpu:type:x86,ven0000fam0006mod005E:feature:,0081,",
]


@pytest.mark.parametrize("option", [[], ["-m"], ["-0F", "name"]], ids=" ".join)
@pytest.mark.parametrize("name", NAMES)
def test_names(kmod_root: Path, kernel: KernelFiles, name: str, option: list[str]) -> None:
    same(*option, "-b", kmod_root, "-k", kernel.release, name)


@pytest.mark.full
def test_every_built_in_module(kmod_root: Path, kernel: KernelFiles) -> None:
    lines = (kernel.modules / "modules.builtin").read_text().split()
    names = [Path(line).stem for line in lines]
    assert len(names) > 150
    for option in [], ["-F", "license"], ["-p"]:
        same(*option, "-b", kmod_root, "-k", kernel.release, *names)


def test_a_basedir_may_be_relative(kmod_root: Path, kernel: KernelFiles) -> None:
    same("-b", ".", "-k", kernel.release, "e1000e", "dummy", folder=kmod_root)
    same("-b", "x/..", "-k", kernel.release, "e1000e", folder=kmod_root)


def test_paths_are_shown_as_kmod_shows_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/hello-x.ko").write_bytes(modules.built("hello").read_bytes())
    for path in "./a/../a//hello-x.ko", "a/hello-x.ko":
        same(path, folder=tmp_path)


def test_mutants_that_kmod_can_read(tmp_path: Path) -> None:
    """Where kmod neither refuses nor crashes, which it does for some, we show the same."""
    chance = random.Random(6)
    paths = []
    for number in range(250):
        paths.append(tmp_path / f"mutant{number}.ko")
        paths[-1].write_bytes(mutant(module(chance.choice(SHAPES)), chance))
    shown = lkm("modinfo", *paths)[1]
    start = b"filename:       " + bytes(tmp_path)
    ours = {start + part for part in shown.split(start)[1:]}
    real = [kmod("modinfo", path) for path in paths]
    readable = [output for status, output, _ in real if status == 0]
    assert len(readable) > 50
    assert set(readable) <= ours


def test_a_parameter_without_a_colon(tmp_path: Path) -> None:
    path = tmp_path / "params.ko"
    data = modules.built("params").read_bytes()
    path.write_bytes(corrupt.with_field(data, "parm", "no colon"))
    same(path)
    same("-p", path)


def text(data: bytes) -> bytes:
    return b"just some text\n" * 10


def cut(data: bytes) -> bytes:
    return data[:3000]


def nothing(data: bytes) -> bytes:
    return b""


def without_modinfo(data: bytes) -> bytes:
    return data.replace(b".modinfo\0", b".modinf0\0")


@pytest.mark.parametrize("damage", [text, cut, nothing, without_modinfo])
def test_what_is_not_a_module(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """kmod says "Invalid argument" or the like; ours says what is wrong, in the same place."""
    path = tmp_path / "hello.ko"
    path.write_bytes(damage(modules.built("hello").read_bytes()))
    real, ours = kmod("modinfo", path), lkm("modinfo", path)
    assert ours[:2] == real[:2]
    blamed = b"modinfo: ERROR: could not get modinfo from 'hello': "
    assert real[2].startswith(blamed)
    assert ours[2].startswith(blamed + bytes(path))
    assert b"expected" in ours[2]


def test_no_argument() -> None:
    same()


def test_by_its_own_name(tmp_path: Path) -> None:
    """A symbolic link called modinfo is modinfo."""
    import subprocess
    import sys

    link = tmp_path / "modinfo"
    link.symlink_to(Path(sys.executable).parent / "lkm")
    path = modules.built("described")
    shown = subprocess.run([link, path], capture_output=True, check=True)
    assert shown.stdout == kmod("modinfo", path)[1]


def test_json() -> None:
    path = modules.built("described")
    status, shown, errors = lkm("modinfo", "--json", path)
    assert (status, errors) == (0, b"")
    document = json.loads(shown)
    assert document["schema"] == "lkm.modinfo/1"
    (module,) = document["modules"]
    assert (module["name"], module["path"]) == ("described", str(path))
    assert ["softdep", "pre: hello post: params"] in module["fields"]
    lines = [f"{key}={value}" for key, value in module["fields"]]
    assert "\0".join(lines).encode() in kmod("modinfo", "-0", path)[1]
