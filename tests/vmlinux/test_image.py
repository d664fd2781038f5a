"""The image as a whole, its cache, and executables that lie."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lkm import files
from lkm.doctor.target_image import read_image
from lkm.errors import FormatError, LkmError, NotFoundError, UnsupportedError
from lkm.vmlinux.executable import Executable
from lkm.vmlinux.image import VmlinuxImage, open_cached
from tests.support import vmlinux_writer as writer
from tests.support.kernels import KernelFiles
from tests.support.vmlinux_writer import BASE

BANNER = b"Linux version 6.1.0-test (me@here) (gcc) #1 SMP Debian\n\0"


def _small() -> bytes:
    symbols = [(BASE + 16 * n, f"Tsymbol_{n}") for n in range(600)]
    btf = writer.BtfWriter()
    btf.composite("module", 64, [("name", btf.integer("int"), 192)])
    return writer.elf(
        {
            ".rodata": (BASE, BANNER.ljust(64, b"\0") + writer.KallsymsTables(symbols).to_bytes()),
            ".BTF": (BASE + 0x2000000, btf.to_bytes()),
        },
        notes=writer.note("Xen", 3, b"odd") + writer.note("GNU", 3, bytes(range(20))),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lkm/vmlinux"


@pytest.fixture
def vmlinuz(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinuz-6.1.0-test"
    path.write_bytes(writer.bzimage(gzip.compress(_small())))
    return path


def _check(image: VmlinuxImage) -> None:
    assert image.release == "6.1.0-test"
    assert image.banner == BANNER[:-2].decode()
    assert image.machine == "x86_64"
    assert image.build_id == bytes(range(20)).hex()
    assert image.kallsyms["symbol_599"] == BASE + 16 * 599
    assert image.btf.offset("module", "name") == 24
    assert image.exports == ()


def test_facts(vmlinuz: Path) -> None:
    _check(VmlinuxImage.open(vmlinuz))
    _check(VmlinuxImage.from_bytes(_small()))


def test_cached(vmlinuz: Path, cache: Path) -> None:
    _check(open_cached(vmlinuz))
    again = open_cached(vmlinuz)
    _check(again)
    assert "elf" not in vars(again), "the second one was unpacked"
    assert len(list(cache.glob("*/kallsyms"))) == 1


def test_damaged_cache_is_written_anew(vmlinuz: Path, cache: Path) -> None:
    _check(open_cached(vmlinuz))
    whole = {path.name: path.read_bytes() for path in cache.glob("*/*")}
    rng = random.Random(5)
    for damage in range(4):
        for path in cache.glob("*/*"):
            data = bytearray(path.read_bytes())
            if damage == 0:
                del data[len(data) // 2 :]
            elif damage == 1:
                data.clear()
            else:
                data[rng.randrange(len(data))] ^= 0x55
            path.write_bytes(data)
        _check(open_cached(vmlinuz))
        assert {path.name: path.read_bytes() for path in cache.glob("*/*")} == whole


def test_cache_that_cannot_be_written(
    vmlinuz: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_atomic", no_space)
    _check(open_cached(vmlinuz))
    assert not list(cache.glob("*/kallsyms"))


def test_cache_that_cannot_be_made(vmlinuz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no/such/folder")
    _check(open_cached(vmlinuz))


def test_many_processes_on_one_empty_cache(vmlinuz: Path, cache: Path) -> None:
    script = (
        "import sys; from lkm.vmlinux.image import open_cached; image = open_cached(sys.argv[1]);"
        "print(image.kallsyms['symbol_5'], image.btf.size('module'))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, vmlinuz], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    answers = {process.communicate()[0] for process in running}
    assert answers == {f"{BASE + 80} 64\n"}
    assert not [path for path in cache.rglob(".*") if path.is_file()]


def test_cache_is_bounded(tmp_path: Path, cache: Path) -> None:
    for number in range(30):
        path = tmp_path / "vmlinux"
        path.write_bytes(_small() + bytes([number]))
        assert open_cached(path).machine == "x86_64"
    assert len(list(cache.iterdir())) <= 24


def test_no_btf_and_no_configuration_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(writer.elf({".rodata": (BASE, BANNER)}))
    image = VmlinuxImage.open(path)
    with pytest.raises(NotFoundError, match="BTF"):
        _ = image.btf
    with pytest.raises(NotFoundError, match="configuration"):
        _ = image.config
    with pytest.raises(NotFoundError, match="symbol table"):
        _ = image.kallsyms


def test_raw_arm64_image() -> None:
    data = bytes(0x38) + b"ARM\x64" + bytes(64)
    with pytest.raises(UnsupportedError, match="arm64"):
        _ = VmlinuxImage.from_bytes(gzip.compress(data)).machine


def test_a_module_is_no_kernel(kernel: KernelFiles) -> None:
    module = next(kernel.modules.glob("kernel/drivers/**/*.ko"))
    with pytest.raises(FormatError, match="no version banner"):
        _ = VmlinuxImage.open(module).banner


def test_sections_and_segments_are_readelfs(kernel: KernelFiles, tmp_path: Path) -> None:
    elf = open_cached(kernel.vmlinuz).elf
    path = tmp_path / "vmlinux"
    path.write_bytes(elf.data)
    text = subprocess.run(
        ["readelf", "-lSnW", path], check=True, capture_output=True, text=True
    ).stdout
    assert f"Build ID: {elf.build_id}" in text
    for segment in elf.segments:
        assert f"LOAD           0x{segment.offset:06x} 0x{segment.address:016x}" in text
    for section in elf.sections.values():
        if section.name:
            assert f" {section.address:016x} {section.offset:06x} {section.size:06x} " in text
    assert len(elf.segments) == text.count("  LOAD ")


def test_damaged_executable() -> None:
    whole = _small()
    rng = random.Random(11)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.choice([rng.randrange(64), rng.randrange(len(data)), len(data) - 200])] = (
                rng.randrange(256)
            )
        cut = rng.randrange(len(data)) if rng.random() < 0.2 else len(data)
        try:
            elf = Executable(bytes(data[:cut]))
            for name in elf.sections:
                elf.content(name)
            assert len(elf.segments) < 65536
            elf.read(BASE, 8)
            _check(VmlinuxImage.from_bytes(bytes(data[:cut])))
        except (LkmError, AssertionError):
            continue


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(("number", "word"), [(22, "s390x"), (243, "riscv64"), (183, "aarch64")])
def test_the_doctor_knows_the_architecture_by_its_number(
    number: int, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(writer.elf({".rodata": (BASE, BANNER)}, machine=number))
    assert VmlinuxImage.open(path).machine == word
    assert read_image(path).machine == number
