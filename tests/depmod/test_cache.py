"""The incremental run: whatever happened to the modules, the bytes are those of a full run."""

import errno
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lkm.depmod import listings as depmod_listings
from lkm.depmod import update as depmod_update
from lkm.depmod.index import index_tree
from lkm.depmod.publish import IndexFolder
from lkm.depmod.request import OUTPUTS, IndexOutcome, IndexRequest
from lkm.depmod.tree_facts import ModuleColumns
from lkm.depmod.write import put_apart
from tests.support.kernels import KernelFiles
from tests.support.trees import INPUTS, kmod_depmod, outputs

RELEASE = "6.1.0"
SETTLED = 0.02  # seconds; two ticks of the slowest clock of a kernel
# With dependencies among them, aliases, exports, and modules that are needed by many.
SOURCES = (
    "kernel/drivers/usb/serial/usbserial.ko",
    "kernel/drivers/usb/serial/pl2303.ko",
    "kernel/drivers/usb/serial/usb_wwan.ko",
    "kernel/drivers/usb/serial/option.ko",
    "kernel/drivers/net/usb/usbnet.ko",
    "kernel/drivers/net/mii.ko",
    "kernel/drivers/net/usb/asix.ko",
    "kernel/fs/fuse/fuse.ko",
    "kernel/fs/fuse/cuse.ko",
    "kernel/crypto/lrw.ko",
    "kernel/drivers/net/usb/cdc_ether.ko",
    "kernel/drivers/net/usb/rndis_host.ko",
)


class Tree:
    """A module tree that changes, with a cache of its own."""

    def __init__(self, kernel: KernelFiles, root: Path) -> None:
        self.sources = [kernel.modules / source for source in SOURCES]
        self.root = root
        self.folder = root / "lib/modules" / RELEASE
        self.clock = 1_700_000_000
        self.folder.mkdir(parents=True)
        for name in INPUTS:
            shutil.copy(kernel.modules / name, self.folder / name)
        (root / "cache").mkdir()
        for number in range(0, len(SOURCES), 2):
            self.add(number, number)

    def place(self, number: int) -> Path:
        """Return one of the places a module can be at, listed in modules.order or not."""
        name = SOURCES[number % len(SOURCES)]
        return self.folder / (f"updates/{Path(name).name}" if number >= len(SOURCES) else name)

    def add(self, place: int, source: int) -> None:
        path = self.place(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        shutil.copy(self.sources[source % len(SOURCES)], path)
        self.touch(place)

    def remove(self, place: int) -> None:
        self.place(place).unlink(missing_ok=True)

    def touch(self, place: int) -> None:
        self.clock += 1
        if self.place(place).exists():
            os.utime(self.place(place), (self.clock, self.clock))

    def index(self, *, workers: int = 1, cached: bool = True) -> IndexOutcome:
        folder = str(self.folder)
        cache = str(self.root / "cache") if cached else ""
        request = IndexRequest(folder, RELEASE, folder, (), cache, workers)
        return index_tree(request, lambda level, text: None, lambda done, total: None)


@pytest.fixture
def tree(kernel: KernelFiles, tmp_path: Path) -> Tree:
    return Tree(kernel, tmp_path)


places = st.integers(0, 2 * len(SOURCES) - 1)
steps = st.one_of(
    st.tuples(st.just("add"), places, places),
    st.tuples(st.just("remove"), places),
    st.tuples(st.just("touch"), places),
    st.tuples(st.just("damage"), places),
    st.tuples(st.just("link"), places),
    st.tuples(st.just("aside"), st.booleans()),
    st.tuples(st.just("away")),
    st.tuples(st.just("order"), st.integers(0, 2)),
    st.tuples(st.just("lose"), st.sampled_from(OUTPUTS)),
)
rounds = st.lists(st.lists(steps, max_size=4), min_size=1, max_size=4)


def take(tree: Tree, step: tuple[object, ...]) -> None:
    match step:
        case "add", int(place), int(source):
            tree.add(place, source)
        case "remove", int(place):
            tree.remove(place)
        case "touch", int(place):
            tree.touch(place)
        case "damage", int(place) if tree.place(place).exists():
            tree.place(place).write_bytes(b"\x7fELF\x02\x01 no more than this")
            tree.touch(place)
        case "link", int(place):  # to what may come and go without a change of the directory
            tree.remove(place)
            tree.place(place).parent.mkdir(parents=True, exist_ok=True)
            tree.place(place).symlink_to(tree.root / "aside.ko")
        case "aside", True:
            shutil.copy(tree.sources[0], tree.root / "aside.ko")
        case "aside", False:
            (tree.root / "aside.ko").unlink(missing_ok=True)
        case ("away",):
            here, away = tree.folder / "kernel/drivers/net", tree.root / "net"
            if away.exists() and not here.exists():
                away.rename(here)
            elif here.exists() and not away.exists():
                here.rename(away)
        case "order", int(part):
            lines = (tree.folder / "modules.order").read_text().splitlines(keepends=True)
            (tree.folder / "modules.order").write_text("".join(lines[part:] + lines[:part]))
        case "lose", str(name):
            (tree.folder / name).unlink(missing_ok=True)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rounds, st.integers(1, 2))
def test_as_a_full_run(
    kernel: KernelFiles, several: list[list[tuple[object, ...]]], workers: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(depmod_listings, "_SETTLED", SETTLED * 1_000_000_000),
        patch.object(depmod_listings, "_ENOUGH", 1),
        patch.object(depmod_update, "ENOUGH", 1),
    ):
        tree = Tree(kernel, Path(folder))
        tree.index(workers=workers)
        for changes in several:
            for step in changes:
                take(tree, step)
            time.sleep(SETTLED)
            tree.index(workers=workers)
            incremental = outputs(tree.folder)
            for name in OUTPUTS:
                (tree.folder / name).unlink(missing_ok=True)
            tree.index(cached=False)
            assert incremental == outputs(tree.folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_what_has_changed_is_listed(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(depmod_listings, "_SETTLED", SETTLED * 1_000_000_000)
    monkeypatch.setattr(depmod_listings, "_ENOUGH", 1)
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    tree.index()
    time.sleep(SETTLED)
    for _ in range(2):
        everything, listed[:] = list(listed), []
        assert tree.index(workers=workers).read == 0
    # Only the directory with the index files in it has changed since.
    assert len(everything) > 5
    assert listed in ([], [str(tree.folder)])
    tree.add(len(SOURCES), 1)
    listed.clear()
    assert tree.index(workers=workers).read == 1
    assert {Path(path).name for path in listed} <= {RELEASE, "updates"}


@pytest.mark.parametrize("there_first", [True, False])
def test_what_a_link_leads_to_comes_and_goes(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, there_first: bool
) -> None:
    monkeypatch.setattr(depmod_listings, "_SETTLED", SETTLED * 1_000_000_000)
    take(tree, ("aside", there_first))
    take(tree, ("link", 1))
    for _ in range(3):
        time.sleep(SETTLED)
        before = tree.index().modules
    take(tree, ("aside", not there_first))
    assert tree.index().modules == before + (-1 if there_first else 1)


def test_full_runs_are_kmods(tree: Tree) -> None:
    tree.add(len(SOURCES) + 3, 3)
    tree.index()
    ours = outputs(tree.folder)
    assert kmod_depmod(tree.root, RELEASE).returncode == 0
    assert ours == outputs(tree.folder)


def test_nothing_changed_nothing_written(tree: Tree) -> None:
    first = tree.index()
    assert first.read == first.modules == 6
    assert len(first.written) == 10
    assert tree.index() == IndexOutcome(6, 0, ())


def test_only_the_new_module_is_read(tree: Tree) -> None:
    tree.index()
    tree.add(len(SOURCES) + 9, 9)
    outcome = tree.index()
    assert (outcome.modules, outcome.read) == (7, 1)
    assert "modules.dep.bin" in outcome.written
    assert "modules.symbols.bin" not in outcome.written


def test_new_exports_need_all_to_be_read(tree: Tree) -> None:
    tree.remove(0)  # usbserial, which others need
    tree.index()
    tree.add(3, 3)
    tree.index()
    assert b"usbserial" not in (tree.folder / "modules.dep").read_bytes()
    tree.add(0, 0)
    assert tree.index().read == 7
    line = next(n for n in (tree.folder / "modules.dep").read_text().splitlines() if "option" in n)
    assert "usbserial.ko" in line


def test_same_size_and_time_but_another_inode(tree: Tree) -> None:
    tree.index()
    path = tree.place(4)
    status = path.stat()
    other = path.with_suffix(".tmp")
    shutil.copy2(path, other)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert tree.index().read == 1


@pytest.mark.parametrize("damage", [b"", b"x" * 50, b"\0" * 1000])
def test_a_damaged_cache_is_no_harm(tree: Tree, damage: bytes) -> None:
    tree.index()
    for path in (tree.root / "cache").iterdir():
        path.write_bytes(damage)
    assert tree.index().read == 6


def test_a_cache_others_can_write_is_not_trusted(tree: Tree) -> None:
    tree.index()
    for path in (tree.root / "cache").iterdir():
        path.chmod(0o666)
    assert tree.index().read == 6


def test_a_cache_that_cannot_be_written(tree: Tree) -> None:
    shutil.rmtree(tree.root / "cache")
    assert tree.index().read == tree.index().read == 6


def test_messages_come_again(tree: Tree) -> None:
    tree.place(0).write_bytes(b"nonsense, and long enough to be looked at")
    folder = str(tree.folder)
    request = IndexRequest(folder, RELEASE, folder, (), str(tree.root / "cache"))
    heard: list[list[tuple[str, str]]] = []
    for _ in range(2):
        messages: list[tuple[str, str]] = []
        index_tree(request, lambda *m, own=messages: own.append(m), lambda done, total: None)
        heard.append(messages)
    assert heard[0] == heard[1] != []


def test_several_processes_write_the_same(kernel: KernelFiles, tmp_path: Path) -> None:
    tree = Tree(kernel, tmp_path)
    for source in sorted((kernel.modules / "kernel/drivers/media").rglob("*.ko"))[:600]:
        target = tree.folder / source.relative_to(kernel.modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    tree.index(cached=False)
    alone = outputs(tree.folder)
    for workers in (2, 3):
        tree.index(workers=workers, cached=False)
        assert outputs(tree.folder) == alone


@pytest.mark.parametrize("done", [0, 1, 3])
@pytest.mark.parametrize("anew", [True, False])
def test_a_partner_that_dies_is_no_loss(tree: Tree, *, done: int, anew: bool) -> None:
    def dying(folder: IndexFolder, *rest: Any) -> Any:
        written = folder.put
        number = 0

        def put(name: str, data: bytes) -> None:
            nonlocal number
            if number == done:
                os._exit(9)
            number += 1
            written(name, data)

        folder.put = put  # type: ignore[method-assign]
        return put_apart(folder, *rest)

    tree.index()
    tree.add(1, 1)
    with (
        patch.object(depmod_update, "put_apart", dying),
        patch.object(depmod_update, "ENOUGH", 1),
    ):
        tree.index(workers=2, cached=not anew)
    found = outputs(tree.folder)
    tree.index(cached=False)
    assert found == outputs(tree.folder)
    assert not list(tree.folder.glob(".*"))


def test_an_interrupt_while_the_partner_works_leaves_nothing(tree: Tree) -> None:
    tree.index(cached=False)
    before = outputs(tree.folder)
    tree.add(1, 1)
    with (
        patch.object(depmod_update, "ENOUGH", 1),
        patch.object(ModuleColumns, "add_imports", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        tree.index(workers=2, cached=False)
    assert outputs(tree.folder) == before
    assert not list(tree.folder.glob(".*"))


@pytest.mark.parametrize("other", [False, True])
def test_what_could_not_be_read_is_read_when_it_can(tree: Tree, *, other: bool) -> None:
    """Permissions are not among what tells a module from what it was."""
    opened = os.open

    def refusing(path: str, *rest: Any, **named: Any) -> int:
        if str(path).endswith("fuse.ko"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, *rest, **named)

    tree.index()
    fuse = SOURCES.index("kernel/fs/fuse/fuse.ko")
    tree.add(fuse, fuse)
    with patch.object(os, "open", refusing):
        tree.index()
    if other:
        tree.touch(0)
    tree.index()
    found = outputs(tree.folder)
    assert b"fs-fuse" in found["modules.alias"]
    tree.index(cached=False)
    assert found == outputs(tree.folder)
