"""Why a load ends differently in the emulated and in the virtual machine, module by module."""

from __future__ import annotations

from pathlib import PurePath

from lkm.module.image import name_of

_AVX = "it needs AVX, which the emulated processor does not have"
_LONG = "its thousand tests run for longer than the emulator lets module code spin"

_NEED_AVX = (
    *("camellia_aesni_avx_x86_64", "camellia_aesni_avx2", "cast5_avx_x86_64", "cast6_avx_x86_64"),
    *("nhpoly1305_avx2", "serpent_avx_x86_64", "serpent_avx2", "twofish_avx_x86_64"),
)

REASONS: dict[str, str] = {**dict.fromkeys(_NEED_AVX, _AVX), "test_bpf": _LONG}


def name_of_module(path: str) -> str:
    """Return a module's name by its path."""
    return name_of(PurePath(path).name)
