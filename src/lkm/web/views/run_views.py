"""All views that run something: their requests, and what carries them out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lkm.errors import LkmError
from lkm.web.contract import requests
from lkm.web.contract.events import RunFailed
from lkm.web.views import fetch, life, memory, signing, taint, way
from lkm.web.views.running import Telling, diagnostics

_WARM = (
    *("lkm.kernel.emulated.session", "lkm.kernel.emulated.watch.interposition"),
    *(
        "lkm.kernel.emulated.watch.load_way",
        "lkm.operations.trial.failures",
        "lkm.operations.doctor",
    ),
    *("lkm.operations.explanation", "lkm.operations.running.users", "lkm.build.kbuild"),
)


@dataclass(frozen=True, slots=True)
class RunView:
    """A view's request and its run; ``playground``: it compiles what was typed into the page."""

    request: type[Any]
    run: Callable[..., None]
    confined: bool = True
    playground: bool = False


VIEWS: dict[str, RunView] = {
    "life": RunView(requests.LifeRequest, life.life),
    "option": RunView(requests.OptionRequest, life.option),
    "way": RunView(requests.WayRequest, way.run),
    "taint": RunView(requests.TaintRequest, taint.run),
    "memory": RunView(requests.MemoryRequest, memory.run),
    "signing": RunView(requests.SigningRequest, signing.signing),
    "secure-boot": RunView(requests.SecureBootRequest, signing.secure_boot, confined=False),
    "fetch": RunView(requests.FetchRequest, fetch.run, confined=False),
    "play": RunView(requests.PlayRequest, life.play, playground=True),
}
"""By the name in ``table.RUNS``."""


def carry_out(view: RunView, request: Any, telling: Telling) -> None:
    """Run a view; what goes wrong on the way is its last event."""
    try:
        view.run(request, telling)
    except (LkmError, OSError) as error:
        output = str(getattr(error, "output", ""))
        hint = str(getattr(error, "hint", ""))
        found = diagnostics(output)
        telling.emit(RunFailed(type(error).__name__, str(error), hint, output, found))


def warm_up() -> None:
    """Import what the runs will need, so that the first event comes at once.

    What is missing (the emulator is an extra) is told by the run that needs it.
    """
    for name in _WARM:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
