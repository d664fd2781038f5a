"""Is there anything in the file? (``fs/kernel_read_file.c``; ``copy_module_from_user``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import format
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """An empty file is EINVAL, before anything else looks at it."""
    if not case.data:
        yield format.empty_file(case.path)
