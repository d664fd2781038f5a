import pytest

from tests.support.kernels import KernelFiles
from tests.support.signing import Workshop, workshop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, kernel: KernelFiles) -> Workshop:
    """Keys and signed modules, made once."""
    return workshop(tmp_path_factory.mktemp("keys"), kernel)
