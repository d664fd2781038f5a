"""Package lists of other suites: from the system's own mirrors, believed by its own keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.errors import NotFoundError, ToolError, UsageError
from lkm.kernels.distributions import apt_sources
from lkm.kernels.distributions import apt_suites as apt_lists
from lkm.kernels.distributions.apt import Apt
from lkm.kernels.distributions.apt_sources import AptSource
from lkm.kernels.fetch import available_releases

DEB822 = """\
# the distribution
Types: deb deb-src
URIs: http://mirror.example/debian http://other.example/debian/
Suites: bookworm bookworm-updates
Components: main
  contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://mirror.example/source
Suites: bookworm
Components: main
"""
LIST = """\
# deb http://mirror.example/commented bookworm main
deb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://mirror.example/security stable-security main # x
deb cdrom:[Debian]/ bookworm main
deb http://elsewhere.example/repo nodistro main
deb-src http://mirror.example/debian bookworm main
"""


def _configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    """Let apt read ``entries`` (file name and content) in place of the system's."""
    parts = tmp_path / "parts"
    parts.mkdir()
    for name, content in entries.items():
        (parts / name.replace("_", ".")).write_text(content)
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{parts}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _with_keys(keyring: str) -> str:
    """The system's own entries for the distribution, to be believed by other keys."""
    own = (AptSource(s.uri, s.suite, s.components, ()) for s in apt_sources.system())
    return "\n".join(f"deb [signed-by={keyring}] {s.uri} {s.suite} {s.components}" for s in own)


def test_entries_of_both_formats_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _configure(tmp_path, monkeypatch, a_sources=DEB822, b_list=LIST)
    security, elsewhere, *debian = apt_sources.system()
    assert security.trust == (("Signed-By", "/a.gpg /b.gpg"),)
    assert (security.uri, security.suite) == ("http://mirror.example/security", "stable-security")
    assert elsewhere.suite == "nodistro"
    assert [(s.uri, s.suite) for s in debian] == [
        (f"http://{host}.example/debian", suite)
        for host in ("mirror", "other")
        for suite in ("bookworm", "bookworm-updates")
    ]
    assert {s.components for s in debian} == {"main contrib"}
    assert debian[0].trust[0][1].endswith("-----END PGP PUBLIC KEY BLOCK-----")


def test_only_the_distributions_entries_are_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = DEB822.replace("bookworm", "stable")
    _configure(tmp_path, monkeypatch, a_sources=entries, b_list=LIST)
    turned = apt_sources.of_suite("sid")
    assert {s.suite for s in turned} == {"sid", "sid-updates", "sid-security"}
    assert not any("elsewhere" in s.uri for s in turned)
    # What is written is what is read again.
    (tmp_path / "parts/a.sources").write_text(apt_sources.text(turned))
    (tmp_path / "parts/b.list").unlink()
    assert set(apt_sources.system()) == set(turned)


def test_without_an_entry_of_the_distribution_there_is_nothing_to_look_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _configure(tmp_path, monkeypatch, b_list="deb http://elsewhere.example/repo nodistro main")
    with pytest.raises(NotFoundError, match=r"no entry of apt's sources") as caught:
        available_releases(suite="bullseye")
    assert "sources.list(5)" in caught.value.hint


def test_a_suite_of_the_mirror_gets_lists_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # The smallest suite there is; what the system has beside its own is absent here, and dropped.
    with pytest.raises(NotFoundError, match=r"no kernel for amd64 in trixie-updates"):
        available_releases("amd64", "trixie-updates")
    state = tmp_path / "lkm/apt/amd64-trixie-updates"
    assert [
        path.name.rpartition("_dists_")[2] for path in (state / "lists").glob("*InRelease")
    ] == ["trixie-updates_InRelease"]
    assert "trixie-updates-updates" not in (state / "sources/lkm.sources").read_text()
    updated = (state / "updated").stat().st_mtime_ns
    apt_lists.options("amd64", "trixie-updates")
    assert (state / "updated").stat().st_mtime_ns == updated


def test_a_suite_that_no_mirror_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NotFoundError, match="no suite 'woody' on http") as caught:
        available_releases(suite="woody")
    assert "archive" in caught.value.hint
    with pytest.raises(UsageError, match="not the name of a suite"):
        available_releases(suite="../bookworm")


def test_a_suite_signed_by_a_key_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "/usr/share/keyrings/debian-archive-removed-keys.gpg"
    _configure(tmp_path, monkeypatch, a_list=_with_keys(other))
    with pytest.raises(ToolError, match="apt could not update its lists") as caught:
        available_releases(suite="trixie-updates")
    assert "install a newer debian-archive-keyring" in caught.value.hint
    assert "NO_PUBKEY" in caught.value.hint


@pytest.mark.full  # apt tries several times
def test_a_mirror_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _configure(tmp_path, monkeypatch, a_list="deb http://127.0.0.1:9/debian stable main")
    with pytest.raises(ToolError) as caught:
        available_releases(suite="bullseye")
    assert "127.0.0.1:9" in caught.value.hint


@pytest.mark.full
def test_packages_of_older_and_newer_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = Apt(suite="bullseye").select("5.10")
    assert old.image == (f"linux-image-{old.release}",)
    assert old.release in available_releases(suite="bullseye")
    new = Apt(suite="trixie-backports").select("7")
    assert {name.split("-")[1] for name in new.image} == {"image", "binary", "base", "modules"}
    assert {name.split("-")[1] for name in new.headers} >= {"headers", "kbuild"}
