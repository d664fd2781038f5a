from pathlib import Path

import pytest

from tests.docs.console import Step, pattern, transcripts


def test_blocks_and_steps_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```console\n$ a b\nout\nmore\n$ c\n```\n```sh\n$ no\n```\n")
    (block,) = transcripts(page)
    assert block.steps == (Step(3, "a b", ("out", "more")), Step(6, "c", ()))


@pytest.mark.parametrize(
    ("expected", "output", "matches"),
    [
        (("a  b",), "a b\n", True),
        (("a b",), "a c\n", False),
        (("took … ms",), "took 12.5 ms\n", True),
        (("x", "...", "y"), "x\n1\n2\ny\n", True),
        (("x", "...", "y"), "x\n1\n2\n", False),
        ((), "anything\n", False),
    ],
)
def test_expected_text_matches(expected: tuple[str, ...], output: str, matches: bool) -> None:
    assert bool(pattern(expected).fullmatch(output)) is matches
