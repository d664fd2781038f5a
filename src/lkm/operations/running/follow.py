"""A kernel's log: what is there, what comes, and what of it is about a module."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator

from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LogRecord
from lkm.module.names import normalize

_POLL_SECONDS = 0.1


def mentions(record: LogRecord, module: str) -> bool:
    """Whether a record is about a module: by prefix, in brackets of a trace, or as a word."""
    name = re.sub("[-_]", "[-_]", re.escape(normalize(module)))
    return re.search(rf"(?<![\w-]){name}(?![\w-])", record.text) is not None


def select(
    records: tuple[LogRecord, ...], *, module: str | None = None, level: int = 7
) -> Iterator[LogRecord]:
    """Yield the records of at least that importance (0 the highest), and about ``module``."""
    for record in records:
        if record.level <= level and (module is None or mentions(record, module)):
            yield record


def follow(kernel: Kernel) -> Generator[tuple[LogRecord, ...], None, None]:
    """Yield all records, then for ever what is new; empty when nothing was."""
    with kernel.watch_log() as watch:
        yield kernel.log()
        while True:
            yield watch.new_records()
            time.sleep(_POLL_SECONDS)
