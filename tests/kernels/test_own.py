"""A kernel of one's own: an image, or the folder that it was built in."""

from __future__ import annotations

from pathlib import Path

import pytest

import lkm
from lkm.build import kbuild
from lkm.errors import FormatError, NotFoundError
from lkm.kernels.choose import Wish, choose, headers_of
from lkm.kernels.known import known_kernels
from lkm.kernels.own import kernel_at
from lkm.operations.trial import events
from lkm.vmlinux.image import VmlinuxImage
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.trying import attempt


def test_an_image_with_modules_beside_it_and_one_without(
    kernel: KernelFiles, tmp_path: Path
) -> None:
    installed = kernel_at(str(kernel.vmlinuz))
    assert (installed.release, installed.modules) == (kernel.release, kernel.modules)
    alone = tmp_path / "bzImage"
    alone.symlink_to(kernel.vmlinuz)
    own = kernel_at(str(alone))
    assert (own.release, own.modules, own.headers) == (kernel.release, None, None)
    assert choose(f"emulated:{alone}", Wish()).where == f"emulated:{alone}"


def test_a_build_folder_is_built_with(kernel: KernelFiles, tmp_path: Path) -> None:
    for path in kernel.headers.resolve().iterdir():
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(NotFoundError, match="no kernel was built in"):
        kernel_at(str(tmp_path))
    (tmp_path / "vmlinux").symlink_to(kernel.vmlinuz)
    assert headers_of(str(tmp_path)) == str(tmp_path)
    assert kbuild.release_of(tmp_path) == kernel_at(str(tmp_path)).release


def test_what_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        kernel_at(str(tmp_path / "none"))
    (tmp_path / "text").write_text("no kernel")
    with pytest.raises(FormatError, match="text"):
        kernel_at(str(tmp_path / "text"))


def test_a_module_is_tried_on_it(kernel: KernelFiles, tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.symlink_to(kernel.vmlinuz)
    told = attempt(built("hello"), kernel=f"emulated:{image}")
    assert told.one(events.Loaded).module == "hello"


@pytest.mark.full
def test_a_module_is_tried_on_vmlinux(kernel: KernelFiles, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(VmlinuxImage.open(kernel.vmlinuz).elf.data)
    told = attempt(built("hello"), kernel=f"emulated:{path}")
    assert told.one(events.Loaded).module == "hello"


def test_the_library_takes_the_kernel_that_a_module_was_built_for(kernel: KernelFiles) -> None:
    older = next(known for known in known_kernels() if known.release != kernel.release)
    assert older.modules is not None
    path = next((older.modules / "kernel/drivers/net").glob("dummy.ko*"))
    with lkm.open_kernel("emulated", module=path) as opened:
        assert opened.release == older.release
    with lkm.open_kernel(f"emulated:{kernel.release}") as opened:
        with pytest.raises(lkm.KernelError) as refused:
            opened.load(path)
        assert any("dummy: " in note for note in refused.value.__notes__)
