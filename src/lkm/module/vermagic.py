"""The version magic: the release and configuration a module was built for.

Source: ``include/linux/vermagic.h``; compared by ``kernel/module/version.c: same_magic``, which
leaves out the release when both sides have symbol versions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vermagic:
    """``release`` and the configuration ``words`` that follow it, in order."""

    text: str
    release: str
    words: tuple[str, ...]

    @property
    def symbol_versions(self) -> bool:
        """Whether the kernel had CONFIG_MODVERSIONS."""
        return "modversions" in self.words


@dataclass(frozen=True, slots=True)
class VermagicDifference:
    """A difference between two version magics."""

    release: tuple[str, str] | None
    missing: tuple[str, ...]
    surplus: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.release or self.missing or self.surplus)


def parse(text: str) -> Vermagic:
    """Split ``text`` at its spaces; the first word is the release."""
    release, _, rest = text.partition(" ")
    return Vermagic(text, release, tuple(rest.split()))


def compare(module: Vermagic, kernel: Vermagic, *, has_versions: bool) -> VermagicDifference:
    """Return what ``kernel`` will object to in ``module``, word by word.

    ``has_versions`` tells whether the module has symbol CRCs: then the release is not compared.
    """
    differs = module.release != kernel.release and not has_versions
    return VermagicDifference(
        release=(module.release, kernel.release) if differs else None,
        missing=tuple(word for word in kernel.words if word not in module.words),
        surplus=tuple(word for word in module.words if word not in kernel.words),
    )
