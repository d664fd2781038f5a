from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.kernels import KernelFiles, kernel_files
from tests.support.needs import mark_kernel, needs_more
from tests.support.trees import kmod_depmod, linked_tree

# How long an example takes tells of the host, not of us.
settings.register_profile("lkm", deadline=None)
settings.load_profile("lkm")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make quick`: leave out files that need a kernel, the built page, or a fetched program."""
    if "not kernel" not in config.option.markexpr:
        return None
    return True if needs_more(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_kernel(items)


@pytest.fixture(scope="session")
def kernel() -> KernelFiles:
    """Debian's newest 6.1 amd64 kernel: image, 4,000 modules, headers."""
    return kernel_files()


@pytest.fixture(scope="session")
def kmod_tree(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the kernel's module folder, indexed by the machine's own depmod."""
    root = tmp_path_factory.mktemp("kmod")
    folder = linked_tree(kernel, root)
    result = kmod_depmod(root, kernel.release)
    assert (result.returncode, result.stderr) == (0, "")
    return folder
