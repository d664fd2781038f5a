from __future__ import annotations

import pytest

from tests.support.kernels import KernelFiles


@pytest.fixture(scope="module", params=["emulated", "vm"])
def where(request: pytest.FixtureRequest, kernel: KernelFiles) -> str:
    """Each of the two kernels that need no root."""
    return f"{request.param}:{kernel.release}"
