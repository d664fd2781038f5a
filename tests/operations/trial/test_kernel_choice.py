"""Which kernel a module is tried in: `--kernel`, `--fetch`, or none named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.errors import NotFoundError, UsageError
from lkm.kernels import choose as kernel_choice
from lkm.kernels import known
from lkm.kernels.choose import Wish
from lkm.kernels.known import known_kernels
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.trying import attempt


def test_kernel_that_the_module_was_built_for(kernel: KernelFiles) -> None:
    choice = kernel_choice.choose("emulated", Wish(built_for=kernel.release))
    assert choice.where == f"emulated:{kernel.release}"
    assert choice.reason == "the module was built for it"


def test_kernel_for_what_was_built_for_another() -> None:
    newest = [k for k in known_kernels() if k.vmlinuz][-1]
    choice = kernel_choice.choose("vm", Wish(built_for="5.4.0-none"))
    assert choice.where == f"vm:{newest.release}"
    assert choice.reason.startswith("5.4.0-none, for which it was built, is not here; ")


def test_no_kernel_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = built("hello")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(known, "_releases", lambda _: set())
    with pytest.raises(NotFoundError, match="no kernel image is on this machine") as caught:
        attempt(module)
    assert "lkm kernels fetch" in caught.value.hint
    assert "--fetch" in caught.value.hint


def test_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(what: str, *, headers: bool = False, progress: object = None) -> object:
        asked.append((what, headers))
        return here

    here = [k for k in known_kernels() if k.vmlinuz][-1]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(known, "_releases", lambda _: set())
    monkeypatch.setattr(kernel_choice, "fetch_kernel", fetch)
    assert kernel_choice.choose("emulated", Wish(fetch=True)).known is here
    assert kernel_choice.choose("emulated:6.1", Wish(fetch=True, from_source=True)).known is here
    assert kernel_choice.choose("emulated", Wish("6.1.0-9-amd64", fetch=True)).known is here
    assert [what for what, _ in asked[1:]] == ["6.1", "6.1.0-9-amd64"]
    assert [headers for _, headers in asked] == [False, True, False]


@pytest.mark.parametrize("where", ["other", "live:6.1", "emulatedd"])
def test_words_that_name_no_kernel(where: str) -> None:
    with pytest.raises(UsageError, match="names no kernel"):
        kernel_choice.choose(where, Wish())


def test_release_that_is_not_here() -> None:
    with pytest.raises(NotFoundError) as caught:
        kernel_choice.choose("emulated:9.9.9", Wish())
    assert caught.value.hint == "fetch it: lkm kernels fetch 9.9.9   (or add --fetch)"
