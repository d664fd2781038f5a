import pytest

from lkm import taint


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, ""), (4097, "PO"), (12288, "OE"), (12289, "POE"), (128 | 512 | 4096, "DWO")],
)
def test_letters_of_values_seen_in_the_field(value: int, expected: str) -> None:
    assert taint.letters(value) == expected


def test_every_bit_round_trips() -> None:
    for flag in taint.FLAGS:
        assert taint.decode(flag.mask) == (flag,)
        assert taint.from_letters(flag.letter) == (flag,)
        assert taint.value_of([flag]) == 1 << flag.bit


def test_letters_are_in_the_kernels_order() -> None:
    assert "".join(flag.letter for flag in taint.FLAGS) == "PFSRMBUDAWCIOELKXTNJ"


def test_a_bit_newer_than_the_table_is_shown_not_dropped() -> None:
    (flag,) = taint.decode(1 << 25)
    assert (flag.bit, flag.letter) == (25, "?")


def test_a_negative_value_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        taint.decode(-1)
