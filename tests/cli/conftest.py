from pathlib import Path

import pytest

from tests.support.kernels import KernelFiles
from tests.support.trees import kmod_depmod, linked_tree


@pytest.fixture(scope="session")
def kmod_root(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root whose module tree the machine's own depmod has indexed."""
    root = tmp_path_factory.mktemp("root")
    linked_tree(kernel, root)
    result = kmod_depmod(root, kernel.release)
    assert (result.returncode, result.stderr) == (0, "")
    return root
