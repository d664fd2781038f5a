"""Licences: which the kernel takes for compatible with the GPL.

Source: ``include/linux/license.h: license_is_gpl_compatible``.
"""

from __future__ import annotations

GPL_COMPATIBLE = frozenset(
    {
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    }
)


def is_gpl_compatible(licence: str | None) -> bool:
    """Say whether a module of this licence may use GPL-only symbols and does not taint.

    No licence at all counts as one that is not.
    """
    return licence in GPL_COMPATIBLE
