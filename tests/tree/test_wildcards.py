import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lkm.tree.wildcards import match

_fnmatch = ctypes.CDLL(None).fnmatch
_PIECES = [
    "a",
    "b",
    "c",
    "-",
    "!",
    "^",
    "*",
    "?",
    "[",
    "]",
    "\\",
    "[a-c]",
    "[!b]",
    "[[:digit:]]",
    "7",
]
patterns = st.lists(st.sampled_from(_PIECES), max_size=9).map("".join)
texts = st.text("abc7-![]\\", max_size=7)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("pci:v*d0001*", "pci:v8086d00012", True),
        ("usb:v05ACp*d[0-3]*", "usb:v05ACp1234d2x", True),
        ("usb:v05ACp*d[0-3]*", "usb:v05ACp1234d4x", False),
        ("*", "", True),
        ("?", "", False),
        ("a[", "a[", True),
        ("a\\", "a\\", False),
    ],
)
def test_known_answers(pattern: str, text: str, expected: bool) -> None:
    assert match(pattern.encode(), text.encode()) is expected


@settings(max_examples=1500)
@given(patterns, texts)
@example("[]a]", "]")
@example("[!]a]", "b")
@example("[a-]", "-")
@example("[b-a]", "b")
def test_as_the_c_library(pattern: str, text: str) -> None:
    expected = _fnmatch(pattern.encode(), text.encode(), 0) == 0
    assert match(pattern.encode(), text.encode()) is expected


def test_many_stars_take_no_longer() -> None:
    assert not match(b"*a" * 2000, b"a" * 1999)
