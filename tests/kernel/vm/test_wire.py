import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.kernel.guest import wire

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=12,
)


class _Feed:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self, count: int) -> bytes:
        if len(self.data) < count:
            raise EOFError
        piece, self.data = self.data[:count], self.data[count:]
        return piece


@given(_VALUES)
def test_round_trip(value: object) -> None:
    feed = _Feed(wire.encode(value))
    assert wire.receive(feed) == value
    assert feed.data == b""


def test_odd_paths_survive() -> None:
    assert wire.receive(_Feed(wire.encode("na\udce9f"))) == "na\udce9f"


@given(st.binary(max_size=64))
def test_hostile_message(text: bytes) -> None:
    message = wire.HEADER.pack(len(text), 0) + text
    try:
        wire.receive(_Feed(message))
    except FormatError as error:
        assert error.path == "the channel"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "message",
    [
        wire.HEADER.pack(1 << 31, 0),
        wire.HEADER.pack(2, 1 << 31) + b"{}",
        wire.HEADER.pack(13, 0) + b'{"bytes": 12}',
        wire.HEADER.pack(100_000, 0) + b"[" * 100_000,
    ],
)
def test_refused(message: bytes) -> None:
    with pytest.raises(FormatError):
        wire.receive(_Feed(message))
