"""The keys that lead through MokManager; that they do is tested on its real screens."""

from __future__ import annotations

import pytest

from lkm.signing import mokmanager


def test_a_password_is_typed_on_a_us_keyboard() -> None:
    assert mokmanager.typed("aB3-_") == (
        ("a",),
        ("shift", "b"),
        ("3",),
        ("minus",),
        ("shift", "minus"),
        ("ret",),
    )
    assert mokmanager.typed("") == ()


@pytest.mark.parametrize("character", ["ä", "\n", "€", "@"])
def test_what_keyboards_do_not_share_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="not typed alike"):
        mokmanager.typed(f"a{character}")


def test_enrolment_and_deletion_have_the_same_screens() -> None:
    enrolment, deletion = mokmanager.enrolment("pw"), mokmanager.deletion("pw")
    assert [screen.keys for screen in enrolment] == [screen.keys for screen in deletion]
    assert [screen.text for screen in deletion][2:4] == ["[Delete MOK]", "Delete the key(s)?"]
