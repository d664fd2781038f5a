from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernels import KernelFiles
from tests.web.serving import RunningServer, serving

_PAGE = (Path(__file__).parent / "browser", Path(__file__).parent / "test_wheel.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make quick` has neither a kernel, nor the built page, nor a browser."""
    for item in items:
        if item.path in _PAGE or item.path.is_relative_to(_PAGE[0]):
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def running(
    kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Return a server that the tests share."""
    with serving(tmp_path_factory.mktemp("web")) as server:
        yield server
