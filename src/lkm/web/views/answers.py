"""All questions that are answered at once: their requests, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lkm.web.contract import requests
from lkm.web.views import memory, needs, options, recorded, rules, state, taint, way


class Answering:
    """Answers the page's questions, one after the other."""

    def __init__(self, folder: Path, allow_live: bool, unconfined: bool) -> None:
        self._surroundings = state.Surroundings(folder, allow_live, unconfined)

    def answer(self, question: str, asked: dict[str, Any]) -> Any:
        """Return the answer, a value; raises LkmError or msgspec.ValidationError."""
        kind, answer = QUESTIONS[question]
        texts = question not in ("rules", "decode")
        return answer(requests.decode(kind, asked, texts=texts), self._surroundings)


QUESTIONS: dict[str, tuple[type[Any], Callable[[Any, state.Surroundings], Any]]] = {
    "state": (requests.NoQuestion, state.state),
    "way": (requests.NoQuestion, way.answer),
    "memory": (requests.MemoryQuestion, memory.answer),
    "options": (requests.OptionsQuestion, options.options),
    "option": (requests.OptionQuestion, options.option),
    "boot": (requests.BootQuestion, options.boot),
    "needs": (requests.NeedsQuestion, needs.needs),
    "edge": (requests.EdgeQuestion, needs.edge),
    "tree": (requests.KernelQuestion, needs.tree),
    "rules": (requests.RulesRequest, rules.answer),
    "rules-examples": (requests.NoQuestion, rules.examples),
    "taint": (requests.NoQuestion, taint.answer),
    "decode": (requests.DecodeRequest, taint.decode),
    "recorded": (requests.NoQuestion, recorded.index),
    "recording": (requests.RecordingQuestion, recorded.recording),
    "examples": (requests.NoQuestion, state.all_examples),
}
"""By the question's name in ``table.ANSWERS``."""
