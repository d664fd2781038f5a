"""Is one of that name there already? (``kernel/module/main.c: add_unformed_module``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import state
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """EEXIST for a live one, EBUSY for one that never got to be live, or is going."""
    found = (case.target.loaded or {}).get(case.module)
    if found is not None:
        live = found.state == "Live"
        yield state.already_loaded(case.module, found.state) if live else state.stuck(case.module)
