"""depmod against the machine's own, on trees of real modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lkm.kernels.fetch import fetch_kernel
from lkm.module.compression import Compression, compress
from lkm.tree.index_file import IndexFile
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.trees import (
    INPUTS,
    OUTPUTS,
    both,
    kmod_depmod,
    linked_tree,
    lkm_depmod,
    outputs,
    small_tree,
)


def same(root: Path, release: str, *options: str) -> dict[str, bytes]:
    """Hold our files against kmod's, and return them."""
    theirs, ours = both(root, release, *options)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    return ours


@pytest.fixture
def tree(kernel: KernelFiles, tmp_path: Path) -> Path:
    """Return the folder of a tree of some 80 modules, free to change."""
    return small_tree(kernel, tmp_path)


@pytest.fixture
def root(tree: Path) -> Path:
    return tree.parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "depmod.d"
    folder.mkdir()
    return folder


def test_the_whole_kernel(kmod_tree: Path, kernel: KernelFiles, tmp_path: Path) -> None:
    folder = linked_tree(kernel, tmp_path)
    result = lkm_depmod(tmp_path, kernel.release)
    assert (result.returncode, result.stderr) == (0, "")
    theirs, ours = outputs(kmod_tree), outputs(folder)
    assert len(ours["modules.dep"].splitlines()) > 3000
    assert sorted(ours) == sorted(OUTPUTS)
    assert [name for name in OUTPUTS if ours[name] != theirs[name]] == []
    assert sorted(os.listdir(folder)) == sorted([*OUTPUTS, *INPUTS, "kernel"])


@pytest.mark.parametrize(
    "other",
    [
        kernel_files(flavour="cloud-amd64"),
        pytest.param(kernel_files("6.12.", "amd64"), marks=pytest.mark.full),
        pytest.param(kernel_files(flavour="rt-amd64"), marks=pytest.mark.full),
    ],
    ids=lambda other: other.release,
)
def test_other_kernels(other: KernelFiles, tmp_path: Path) -> None:
    linked_tree(other, tmp_path)
    ours = same(tmp_path, other.release)
    assert len(ours["modules.dep"].splitlines()) > 500


@pytest.mark.full
@pytest.mark.parametrize("series", ["5.10.", "7."])
def test_an_older_and_a_newer_kernel(series: str, tmp_path: Path) -> None:
    test_other_kernels(kernel_files(series), tmp_path)


@pytest.mark.full
def test_another_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arm64 = fetch_kernel("arm64", architecture="arm64")
    root = tmp_path / "root"
    linked_tree(KernelFiles(arm64.release, arm64.root), root)
    ours = same(root, arm64.release)
    assert len(ours["modules.dep"].splitlines()) > 3000


@pytest.mark.full
@pytest.mark.parametrize("compression", [Compression.XZ, Compression.ZSTD])
def test_the_whole_kernel_compressed(
    kernel: KernelFiles, tmp_path: Path, compression: Compression
) -> None:
    folder = linked_tree(kernel, tmp_path)
    (folder / "kernel").unlink()
    for path in (kernel.modules / "kernel").rglob("*.ko"):
        target = folder / path.relative_to(kernel.modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = compress(path.read_bytes(), compression)
        target.with_name(path.name + compression.suffix).write_bytes(packed)
    same(tmp_path, kernel.release)


@pytest.mark.parametrize("compression", [Compression.XZ, Compression.ZSTD, Compression.GZIP])
def test_compressed_modules(tree: Path, root: Path, compression: Compression) -> None:
    plain = same(root, tree.name)
    for path in tree.rglob("*.ko"):
        Path(f"{path}{compression.suffix}").write_bytes(compress(path.read_bytes(), compression))
        path.unlink()
    if compression is Compression.GZIP:  # Debian's kmod cannot read it; the texts say as much
        assert lkm_depmod(root, tree.name).stderr == ""
        packed = outputs(tree)
    else:
        packed = same(root, tree.name)
    suffix = compression.suffix.encode()
    assert packed["modules.dep"].replace(b".ko" + suffix, b".ko") == plain["modules.dep"]
    assert packed["modules.alias.bin"] == plain["modules.alias.bin"]
    assert packed["modules.symbols"] == plain["modules.symbols"]


def test_without_modules_order(tree: Path, root: Path) -> None:
    (tree / "modules.order").unlink()
    same(root, tree.name)


@pytest.mark.parametrize(
    "order",
    [
        b"kernel/drivers/usb/serial/pl2303.ko\n",
        b"kernel/drivers/usb/serial/pl2303.ko\nkernel/fs/fuse/fuse.ko",
        b"kernel/fs/fuse/fuse.ko\nkernel/drivers/usb/serial/pl2303.ko\nkernel/fs/fuse/fuse.ko\n\n\n",
        b"kernel/none.ko\n" + b"x" * 5000 + b"\n",
        b"",
    ],
)
def test_odd_modules_order(tree: Path, root: Path, order: bytes) -> None:
    (tree / "modules.order").write_bytes(order)
    same(root, tree.name)


def test_modules_order_of_only_some(tree: Path, root: Path) -> None:
    lines = (tree / "modules.order").read_bytes().splitlines(keepends=True)
    (tree / "modules.order").write_bytes(b"".join(reversed(lines[::2])))
    same(root, tree.name)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("modules.builtin", b"kernel/a/b-c.ko\n1bad\n\nkernel/d\nkernel/b_c.ko\nlast"),
        (
            "modules.builtin.modinfo",
            b"a.alias=x-y\0b.alias=x_y\0c.noequals\0d.alias=lost\0e.alias=z",
        ),
        ("modules.builtin.modinfo", b"a.alias=p[0-9]-q\0b.alias=p]q\0.alias=n\0nodot\0c.alias=\0"),
    ],
)
def test_odd_builtin_files(tree: Path, root: Path, name: str, data: bytes) -> None:
    (tree / name).write_bytes(data)
    same(root, tree.name)


@pytest.mark.parametrize("name", ["modules.builtin", "modules.builtin.modinfo"])
def test_without_builtin_files(tree: Path, root: Path, name: str) -> None:
    (tree / name).unlink()
    same(root, tree.name)


def duplicated(tree: Path) -> None:
    """Put newer copies of a module, as DKMS and vendors do."""
    for folder in ("updates", "updates/dkms", "extra", "kernel/zzz"):
        (tree / folder).mkdir(exist_ok=True, parents=True)
        for name in ("usbserial.ko", "fuse.ko"):
            source = next((tree / "kernel").rglob(name))
            shutil.copy(source, tree / folder / name)


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "search updates built-in\n",
        "search extra updates built-in\n",
        "search built-in extra\n",
        "search extra\nsearch built-in\n",
        "search kernel/zzz updates/dkms external built-in\n",
        "override fuse * extra\n",
        "override fuse 6\\.1.* extra\noverride usbserial * updates/dkms\n",
        "override fuse 5\\..* extra\n",
        "exclude updates dkms\n",
        "search extra \\\n  built-in\n# comment\nnonsense here\ninclude x\noverride a\n",
    ],
)
def test_which_of_several_wins(tree: Path, root: Path, config: Path, rules: str) -> None:
    duplicated(tree)
    (config / "rules.conf").write_text(rules)
    same(root, tree.name, "-C", str(config))


def test_external_directories(tree: Path, root: Path, config: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    for name in ("fuse.ko", "usbserial.ko", "uinput.ko"):
        for source in list((tree / "kernel").rglob(name))[:1]:
            shutil.copy(source, outside / "deep" / name)
    (tree / "kernel/fs/fuse/fuse.ko").unlink()
    rules = f"search external built-in\nexternal * {outside}\nexternal 6.1 {tmp_path}/none\n"
    (config / "a.conf").write_text(rules)
    ours = same(root, tree.name, "-C", str(config))
    assert f"{outside}/deep/fuse.ko".encode() in ours["modules.dep"]


@pytest.mark.parametrize("rule", ["search built-in external\n", "search external\n", ""])
def test_external_against_built_in(
    tree: Path, root: Path, config: Path, tmp_path: Path, rule: str
) -> None:
    shutil.copytree(tree / "kernel/fs/fuse", tmp_path / "outside")
    (config / "a.conf").write_text(f"external * {tmp_path / 'outside'}\n{rule}")
    same(root, tree.name, "-C", str(config))


def test_links_and_other_files(tree: Path, root: Path) -> None:
    (tree / "build").symlink_to("/nowhere")
    (tree / "source").mkdir()
    shutil.copy(tree / "kernel/fs/fuse/fuse.ko", tree / "source/sourced.ko")
    (tree / "extra").symlink_to("kernel/fs")
    (tree / "linked.ko").symlink_to("kernel/fs/fuse/fuse.ko")
    (tree / "dots.in.name.ko").write_bytes((tree / "kernel/fs/fuse/fuse.ko").read_bytes())
    (tree / ".ko").write_bytes(b"")
    (tree / "some-dashes.ko").write_bytes((tree / "kernel/fs/fuse/fuse.ko").read_bytes())
    same(root, tree.name)


def test_a_link_to_a_directory_above(tree: Path, root: Path) -> None:
    (tree / "kernel/up").symlink_to("..")
    result = lkm_depmod(root, tree.name)
    assert result.returncode == 0
    assert "leads back to a directory above" in result.stderr


def test_damaged_modules(tree: Path, root: Path) -> None:
    good = (tree / "kernel/fs/fuse/fuse.ko").read_bytes()
    for name, data in {
        "empty": b"",
        "short": good[:40],
        "header": good[:64],
        "half": good[: len(good) // 2],
        "text": b"this is no module at all, but longer than an ELF header\n" * 3,
        "archive": b"!<arch>\n" + good[8:],
        "badclass": good[:4] + b"\7" + good[5:],
        "manysections": good[:60] + b"\xff\xfe" + good[62:],
    }.items():
        (tree / f"{name}.ko").write_bytes(data)
    same(root, tree.name)


def test_modules_that_abort_kmod(tree: Path, root: Path) -> None:
    good = (tree / "kernel/fs/fuse/fuse.ko").read_bytes()
    (tree / "nonames.ko").write_bytes(good[:62] + b"\0\0" + good[64:])
    assert kmod_depmod(root, tree.name).returncode < 0
    result = lkm_depmod(root, tree.name)
    expected = f"depmod: ERROR: failed to load symbols from {tree}/nonames.ko: Invalid argument\n"
    assert (result.returncode, result.stderr) == (0, expected)
    assert b"nonames.ko:\n" in (tree / "modules.dep").read_bytes()


def test_options_that_only_tell(tree: Path, root: Path) -> None:
    for options in (("-n",), ("-v",), ("-n", "-w"), ("-w",), ("-P", "_")):
        theirs = kmod_depmod(root, tree.name, *options)
        ours = lkm_depmod(root, tree.name, *options)
        assert ours.stdout == theirs.stdout, options
        assert sorted(ours.stderr.splitlines()) == sorted(theirs.stderr.splitlines()), options


def test_unknown_symbols(tree: Path, root: Path, kernel: KernelFiles, tmp_path: Path) -> None:
    system_map = kernel.root / f"boot/System.map-{kernel.release}"
    lines = system_map.read_text().splitlines(keepends=True)
    if len(lines) < 100:  # Debian's holds nothing but a hint where the symbols are
        lines = []
    exported = (kernel.headers / "Module.symvers").read_text().splitlines()
    of_kernel = [line.split("\t") for line in exported if "\tvmlinux\t" in line]
    known = tmp_path / "System.map"
    known.write_text("".join(f"ffffffff81000000 R __ksymtab_{f[1]}\n" for f in of_kernel[::2]))
    symvers = tmp_path / "Module.symvers"
    changed = [("0x00000001", *f[1:]) if n % 50 == 0 else f for n, f in enumerate(of_kernel)]
    symvers.write_text("".join("\t".join(f) + "\n" for f in changed))
    for options in (("-e", "-F", str(known)), ("-e", "-E", str(symvers)), ("-e",)):
        theirs = kmod_depmod(root, tree.name, *options)
        ours = lkm_depmod(root, tree.name, *options)
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
        assert ours.stderr.splitlines() == theirs.stderr.splitlines()
        assert ours.stderr


def test_named_files(tree: Path, root: Path) -> None:
    files = [str(tree / "kernel/fs/fuse/fuse.ko"), str(tree / "kernel/fs/fuse/cuse.ko")]
    for name in OUTPUTS:
        (tree / name).unlink(missing_ok=True)
    results = []

    for program in (["depmod"], [sys.executable, "-m", "lkm", "depmod"]):
        command = [*program, "-b", str(root), tree.name, *files]
        subprocess.run(command, check=True)
        results.append(outputs(tree))
    assert results[1] == results[0]
    assert len(results[1]["modules.dep"].splitlines()) == 2


def test_an_index_reads_back(tree: Path, root: Path) -> None:
    ours = same(root, tree.name)
    index = IndexFile(ours["modules.symbols.bin"])
    for line in ours["modules.symbols"].decode().splitlines()[1:]:
        _, symbol, module = line.split()
        assert index.search(symbol) == module


def test_quick(tree: Path, root: Path) -> None:
    assert lkm_depmod(root, tree.name, "-A").returncode == 0
    before = (tree / "modules.dep").stat().st_mtime_ns
    lkm_depmod(root, tree.name, "-A")
    assert (tree / "modules.dep").stat().st_mtime_ns == before
    os.utime(tree / "kernel/fs/fuse/fuse.ko", (before / 1e9 + 10, before / 1e9 + 10))
    lkm_depmod(root, tree.name, "-A")
    assert (tree / "modules.dep").stat().st_mtime_ns > before


def test_another_output_directory(tree: Path, root: Path, tmp_path: Path) -> None:
    result = lkm_depmod(root, tree.name, "-o", str(tmp_path / "out"))
    assert (result.returncode, result.stderr) == (0, "")
    written = outputs(tmp_path / "out/lib/modules" / tree.name)
    assert outputs(tree) == {}
    assert kmod_depmod(root, tree.name).returncode == 0
    assert written == outputs(tree)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-b", "/nowhere", "6.1.0"],
        ["xyz"],
        ["-P", "ab", "6.1.0"],
        ["-E", "/nowhere", "6.1.0"],
        ["-F", "/nowhere", "6.1.0"],
        ["6.1.0", "relative.ko"],
        ["6.1.0", "/nowhere.ko"],
        ["-q", "-b", "/nowhere", "6.1.0"],
        ["--nonsense"],
        ["-b"],
    ],
)
def test_refusals(arguments: list[str]) -> None:

    theirs = subprocess.run(["depmod", *arguments], capture_output=True, text=True, check=False)
    command = [sys.executable, "-m", "lkm", "depmod", *arguments]
    ours = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        theirs.returncode,
        theirs.stdout,
        theirs.stderr,
    )
