"""Every regular expression of the project takes time linear in its input, whatever that is.

Counted is work: the CPU time of one size against that of sixteen times as much, on the same
machine, the least of several runs; quadratic work would take 256 times as long.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

import lkm
from lkm.doctor import lines, log, oops, verdict
from lkm.doctor.distribution_table import DISTRIBUTIONS
from lkm.doctor.rules.all_rules import RULES

SMALL, LARGE = 400, 6_400
# Sixteen times the input: linear work takes 16 times as long, quadratic 256 times.
LIMIT = 70


def _patterns_in(value: object, seen: set[int]) -> Iterator[re.Pattern[str]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
    elif isinstance(value, dict):
        for each in [*value.keys(), *value.values()]:
            yield from _patterns_in(each, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _patterns_in(each, seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for each in dataclasses.fields(value):
            yield from _patterns_in(getattr(value, each.name, None), seen)


def project_patterns() -> dict[str, re.Pattern[str]]:
    """Return the regular expressions that modules of the project hold, each once."""
    found: dict[str, re.Pattern[str]] = {}
    seen: set[int] = set()
    for info in pkgutil.walk_packages(lkm.__path__, "lkm."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:
            continue  # of an extra that is not installed: its rooms have tests of their own
        for value in list(vars(module).values()):
            for pattern in _patterns_in(value, seen):
                found.setdefault(pattern.pattern, pattern)
    return found


PATTERNS = project_patterns()


def literal_pieces(pattern: str) -> list[str]:
    """Return text that leads a pattern on: its own literal parts."""
    plain = re.sub(
        r"\(\?P<\w+>|\(\?:|\(\?[=!<]+|[()^$]|\\[wdsSWD]|\{\d*,?\d*\}[?+]?|\[[^\]]*\]", "\0", pattern
    )
    plain = re.sub(r"\\(.)", r"\1", plain)
    pieces = [piece for piece in re.split(r"[\0|+*?]+", plain) if len(piece) >= 3]
    return sorted(pieces, key=len, reverse=True)[:2]


def adversarial(size: int, pattern: str = "") -> Iterator[str]:
    seeds = ["a", " ", "0", "a: ", "-", "/a"]
    seeds += literal_pieces(pattern)
    for seed in seeds:
        yield (seed * (size // len(seed) + 1))[:size]


def cost(work: Callable[[], object], repeat: int = 3) -> float:
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def grows_too_fast(work: Callable[[str], object], small: str, large: str) -> bool:
    """Whether ``large`` costs far more than its share; asked again, for noise may be why."""
    for attempt in range(4):
        more = cost(lambda: work(large), 1 + attempt)
        if more < 0.02:
            return False  # too little to tell, and too little to matter
        if more / max(cost(lambda: work(small), 3 + attempt), 2e-4) < LIMIT:
            return False
    return True


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 500


def slow_ones(patterns: list[tuple[str, re.Pattern[str]]], small: int, large: int) -> list[str]:
    found = []
    for text, pattern in patterns:
        for less, more in zip(adversarial(small, text), adversarial(large, text), strict=True):
            if grows_too_fast(pattern.search, less, more):
                found.append(f"{text} on {more[:30]!r}")
                break
    return found


@pytest.mark.parametrize("part", range(4))
def test_every_pattern_is_linear(part: int) -> None:
    assert slow_ones(sorted(PATTERNS.items())[part::4], SMALL, LARGE) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(16))
def test_every_pattern_is_linear_up_to_a_megabyte(part: int) -> None:
    assert slow_ones(sorted(PATTERNS.items())[part::16], 1 << 16, 1 << 20) == []


HOSTILE: tuple[Callable[[int], str], ...] = (
    lambda n: "BUG: x\nCode: " + "0" * n,
    lambda n: "BUG: x\nCode: " + "00 " * (n // 3) + "zz",
    lambda n: "BUG: x\n" + "a" * n,
    lambda n: "ERROR: " * (n // 7),
    lambda n: "[    1.0] " * (n // 10),
    lambda n: "> " * (n // 2),
    lambda n: "kernel: " * (n // 8),
    lambda n: "".join(f"driver{i}: failed to start for reason {i}\n" for i in range(n // 40)),
    lambda n: "".join(f"could not insert 'm{i}': Invalid argument\n" for i in range(n // 40)),
    lambda n: "".join(f"m{i}: Unknown symbol s{i} (err -2)\n" for i in range(n // 35)),
    lambda n: "BUG: " + "x" * n + "\nCPU: 1 PID: 2 Comm: y Not tainted 6.1.0 #1\n",
    lambda n: "BUG: a\n" * (n // 7),
    lambda n: "BUG: a\nModules linked in: " + "m " * (n // 2),
    lambda n: "BUG: a\nCall Trace:\n" + " f+0x1/0x2 [m]\n" * (n // 15),
    lambda n: "x: version magic '" * (n // 18),
    lambda n: "CPU: 1 PID: 1 Comm: a Tainted: " + "G " * (n // 2),
    lambda n: "".join(f"[    1.0][ T{i}] BUG: a{i}\n" for i in range(n // 25)),
    lambda n: "a/" * (n // 2) + ":1:1: error: x",
)  # fmt: skip


def read_all(text: str) -> None:
    log.read(text, RULES, DISTRIBUTIONS)
    for report in oops.parse(text):
        verdict.in_words(report)
        verdict.suspect(report)
        verdict.frames(report)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_logs_end_in_linear_time(number: int) -> None:
    make = HOSTILE[number]
    assert not grows_too_fast(read_all, make(5_000), make(80_000))


def generated(count: int) -> Iterable[str]:
    for number in range(count):
        yield f"Nov 28 02:29:59 box kernel: [{number / 7:12.6f}] usb 1-1: device {number}\n"
    yield "[ 99.0] x: Unknown symbol f (err -2)\n"


def test_a_large_log_takes_little_memory() -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        found = log.read(generated(10_000), RULES, DISTRIBUTIONS)
        oops.parse(generated(10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [each.finding.name for each in found.explanations] == ["unknown-symbol"]
    assert peak < 16 << 20


@pytest.mark.full
def test_a_log_of_fifty_megabytes() -> None:
    text = "".join(generated(700_000))
    assert len(text) > 50 << 20
    assert sum(1 for _ in lines.read(text)) == 700_001
    assert log.read(text, RULES, DISTRIBUTIONS).explanations
