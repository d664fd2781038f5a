"""Fetching a kernel, so that everything can be shown live."""

from __future__ import annotations

from lkm.kernels.fetch import fetch_kernel
from lkm.operations.trial.events import Finished
from lkm.web.contract.events import Fetched
from lkm.web.contract.requests import FetchRequest
from lkm.web.views.running import Telling


def run(request: FetchRequest, telling: Telling) -> None:
    """Download a kernel into lkm's cache, telling how far it is."""
    more = ["--headers"] if request.headers else []
    telling.started(["kernels", "fetch", request.what, *more])
    kernel = fetch_kernel(request.what, headers=request.headers, progress=telling.progress)
    telling.emit(Fetched(kernel.release))
    telling.emit(Finished((), telling.seconds))
