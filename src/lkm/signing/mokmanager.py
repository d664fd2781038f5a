"""MokManager's screens, and the keys that lead through them.

Source: shim's ``MokManager.c`` (``enter_mok_menu``, ``mok_enrollment_prompt``,
``mok_deletion_prompt``). Key names are QEMU's, which read well for people too.
"""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = {" ": "spc", "-": "minus", ".": "dot", ",": "comma", "/": "slash", "=": "equal"}
_SHIFTED = {"_": "minus", "+": "equal", "?": "slash", ":": "semicolon", "!": "1"}


@dataclass(frozen=True, slots=True)
class MokScreen:
    """One screen: a text that is on it, what to do in words, the keys (each a chord)."""

    text: str
    action: str
    keys: tuple[tuple[str, ...], ...]


def enrolment(password: str = "") -> tuple[MokScreen, ...]:
    """Return the screens that enrol what ``mokutil --import`` asked for.

    ``password`` is the one given to mokutil; without it the password screen has no keys.
    """
    return _screens("Enroll MOK", "Enroll the key(s)?", password)


def deletion(password: str = "") -> tuple[MokScreen, ...]:
    """Return the screens that delete what ``mokutil --delete`` asked for."""
    return _screens("Delete MOK", "Delete the key(s)?", password)


def _screens(item: str, question: str, password: str) -> tuple[MokScreen, ...]:
    down, enter = ("down",), ("ret",)
    return (
        MokScreen("Press any key to perform MOK management", "press any key within 10 s", (enter,)),
        MokScreen("Perform MOK management", f"choose “{item}”: Down, Enter", (down, enter)),
        MokScreen(
            f"[{item}]",
            "compare the fingerprint under “View key 0” if you like; choose “Continue”",
            (down, enter),
        ),
        MokScreen(question, "choose “Yes”: Down, Enter", (down, enter)),
        MokScreen("Password:", "type the password given to mokutil, Enter", typed(password)),
        MokScreen("Perform MOK management", "choose “Reboot”: Enter", (enter,)),
    )


def typed(password: str) -> tuple[tuple[str, ...], ...]:
    """Return the key chords that type ``password`` on a US keyboard, which MokManager assumes."""
    if not password:
        return ()
    return (*(_chord(character) for character in password), ("ret",))


def _chord(character: str) -> tuple[str, ...]:
    if character.isascii() and character.isalnum():
        key = character.lower()
        return ("shift", key) if character.isupper() else (key,)
    if character in _SHIFTED:
        return ("shift", _SHIFTED[character])
    if character in _PLAIN:
        return (_PLAIN[character],)
    raise ValueError(f"{character!r} is not typed alike on all keyboards")
