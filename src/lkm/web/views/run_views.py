"""All views that run something: their requests, and what carries them out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lkm.web.contract import requests
from lkm.web.views import life, taint, way

_WARM = (
    *("lkm.kernel.emulated.session", "lkm.kernel.emulated.watch.interposition"),
    *(
        "lkm.kernel.emulated.watch.load_way",
        "lkm.operations.trial.failures",
        "lkm.operations.doctor",
    ),
    *("lkm.operations.explanation", "lkm.operations.users", "lkm.build.kbuild"),
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
    "play": RunView(requests.PlayRequest, life.play, playground=True),
}
"""By the name in ``table.RUNS``."""


def warm_up() -> None:
    """Import what the runs will need, so that the first event comes at once.

    What is missing (the emulator is an extra) is told by the run that needs it.
    """
    for name in _WARM:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
