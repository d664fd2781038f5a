"""Recorded runs and answers, which come with lkm for machines without a kernel, and for exports."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from lkm.errors import NotFoundError
from lkm.web.contract.answers import Recording, RecordingIndex
from lkm.web.contract.requests import NoQuestion, RecordingQuestion
from lkm.web.views.state import Surroundings

FOLDER = Path(__file__).parent.parent / "recorded"


def index(_question: NoQuestion, _surroundings: Surroundings) -> RecordingIndex:
    """Return the heads of all recordings."""
    return RecordingIndex(tuple(recording.head for recording in recordings()))


def recording(question: RecordingQuestion, _surroundings: Surroundings) -> Recording:
    """Return one recording; NotFoundError when there is none of that name."""
    for each in recordings():
        if each.head.name == question.name:
            return each
    raise NotFoundError(f"there is no recording {question.name!r}")


@functools.cache
def recordings() -> tuple[Recording, ...]:
    """Return all recordings, in the order of their names."""
    return tuple(
        msgspec.json.decode(path.read_bytes(), type=Recording)
        for path in sorted(FOLDER.glob("*.json"))
    )
