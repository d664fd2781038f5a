"""Every message about modules in the kernels here is explained, or listed as not about loading.

The messages are taken from the kernels' images: strings that begin with printk's level byte and
speak of modules, version magic, relocations, signatures, BTF or parameters.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lkm.doctor import log
from lkm.doctor.rules.all_rules import RULES
from lkm.kernels.known import known_kernels
from lkm.vmlinux import payload

LISTED = Path(__file__).parent / "data" / "not-about-loading.txt"
_MESSAGE = re.compile(rb"\x01[0-7]([\x09\x0a\x20-\x7e]{6,300})\x00")
_ABOUT = re.compile(
    r"\bmodules?\b|vermagic|version magic|\bELF\b|relocation|unknown symbol|PKCS#7|\bBTF\b|"
    r"parameter `|percpu data|taints kernel|kernel tainted|retpoline",
    re.IGNORECASE,
)
IMAGES = {k.release: k.vmlinuz for k in known_kernels() if k.vmlinuz and k.fetched}


def messages(image: Path) -> set[str]:
    data = payload.extract(image.read_bytes())
    texts = {found.decode().strip() for found in _MESSAGE.findall(data)}
    return {text for text in texts if _ABOUT.search(text)}


def spoken(message: str) -> str:
    """Fill a format string in: numbers, addresses, names."""
    text = re.sub(r"%[-+ #0]*\d*(?:\.\d+|\.\*)?(?:hh|h|ll|l|z)?[diux]", "22", message)
    text = re.sub(r"%p[A-Za-z]*|%\*ph?N?", "ffffffffc0000000", text)
    return re.sub(r"%-?\d*(?:\.\d+|\.\*)?s", "abc", text)


@pytest.mark.parametrize("release", sorted(IMAGES))
def test_each_message_is_explained_or_listed(release: str) -> None:
    image = IMAGES[release]
    assert image is not None
    found = messages(image)
    assert len(found) > 60
    listed = set(LISTED.read_text().splitlines())
    unknown = [text for text in found - listed if not log.explain(spoken(text), RULES)]
    assert sorted(unknown) == []


def test_what_is_listed_is_not_explained() -> None:
    explained = [t for t in LISTED.read_text().splitlines() if log.explain(spoken(t), RULES)]
    assert explained == []
