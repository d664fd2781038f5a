import pytest

from tests.support.kernels import KernelFiles, kernel_files


@pytest.fixture(scope="session")
def kernel() -> KernelFiles:
    """Debian's newest 6.1 amd64 kernel: image, 4,000 modules, headers."""
    return kernel_files()
