from collections.abc import Iterator

import pytest

from tests.support.kernels import KernelFiles
from tests.web.serving import RunningServer, serving


@pytest.fixture(scope="session")
def running(
    kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Return a server that the tests share."""
    with serving(tmp_path_factory.mktemp("web")) as server:
        yield server
