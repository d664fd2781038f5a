"""Dynamic debug: control files, queries, and the same asked of a real kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.doctor import dyndbg
from lkm.doctor.dyndbg import DebugSite, Query
from lkm.errors import FormatError, NotFoundError, UsageError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.operations.running import dyndbg as operation
from tests.support.kernels import kernel_files
from tests.support.modules import built

CONTROL = """\
# filename:lineno [module]function flags format
init/main.c:1117 [main]initcall_blacklist =p "blacklisting initcall %s\\012"
drivers/net/a b.c:3 [odd_one]f =_ "a \\"quoted\\" text"
drivers/gpu/drm/x.c:7 [drm]g =pmf "hello\\012" class:DRM_UT_CORE
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel(open_machine(kernel_files().vmlinuz)) as opened:
        yield opened


def test_a_control_file_is_read() -> None:
    sites = dyndbg.parse_control(CONTROL)
    assert sites[0] == DebugSite(
        "init/main.c", 1117, "main", "initcall_blacklist", "p", "blacklisting initcall %s\n"
    )
    assert (sites[1].file, sites[1].flags, sites[1].format) == (
        "drivers/net/a b.c",
        "",
        'a "quoted" text',
    )
    assert sites[2].class_name == "DRM_UT_CORE"


def test_a_strange_line_is_named() -> None:
    with pytest.raises(FormatError, match=r"control:2"):
        dyndbg.parse_control("# head\nwhat is this\n")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (Query(), 3),
        (Query(module="odd-one"), 1),
        (Query(file="main.c"), 1),
        (Query(file="drivers/*"), 2),
        (Query(function="?"), 2),
        (Query(lines="3-7"), 2),
        (Query(lines="-3"), 1),
        (Query(lines="1000-"), 1),
        (Query(format="initcall"), 1),
        (Query(format="^initcall"), 0),
        (Query(class_name="DRM_UT_CORE"), 1),
    ],
)
def test_queries(query: Query, count: int) -> None:
    assert len(dyndbg.matching(dyndbg.parse_control(CONTROL), query)) == count


def test_the_command_and_the_option() -> None:
    query = Query("snd-pcm", function="open*", format='say "x"; y')
    assert dyndbg.command(query, "+pf") == (
        'module snd_pcm func open* format "say \\042x\\042\\073 y" +pf'
    )
    assert operation.option_at_load(Query("loop"), "=pmf") == "dyndbg==pmf"
    assert operation.option_at_load(Query("loop", lines="1-9"), "+p") == 'dyndbg="line 1-9 +p"'


@pytest.mark.parametrize("flags", ["", "p", "+", "+p; module x +p", "+P"])
def test_flags_that_are_none_are_refused(flags: str) -> None:
    with pytest.raises(UsageError):
        dyndbg.command(Query("x"), flags)


@pytest.mark.parametrize("lines", ["-", "a", "1-2-3", "1,2"])
def test_lines_that_are_none_are_refused(lines: str) -> None:
    with pytest.raises(UsageError):
        Query(lines=lines)


@given(st.text(max_size=200))
def test_any_text_is_sites_or_a_format_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        dyndbg.parse_control(text)


def test_a_kernels_own_list_is_read_whole(kernel: Kernel) -> None:
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    text = kernel.read_text("/proc/dynamic_debug/control")
    assert len(operation.sites(kernel, Query())) == len(text.splitlines()) - 1


@pytest.mark.parametrize(
    "query",
    [
        Query(module="main", file="kernel/module/main.c"),
        Query(function="move_module"),
        Query(file="main.c", lines="1-2000"),
        Query(format="module"),
        Query(format="^final section"),
    ],
)
def test_what_is_set_is_what_was_meant(kernel: Kernel, query: Query) -> None:
    """The kernel's own matching and ours: exactly the sites we list get the flag."""
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    before = {site for site in operation.sites(kernel, Query()) if "p" in site.flags}
    meant = set(operation.sites(kernel, query)) - before
    assert meant
    changed = operation.change(kernel, query, "+p")
    now = {
        (site.file, site.line, site.function)
        for site in operation.sites(kernel, Query())
        if "p" in site.flags and site not in before
    }
    assert now == {(site.file, site.line, site.function) for site in meant}
    assert all("p" in site.flags for site in changed.sites)


def test_messages_come_out(kernel: Kernel) -> None:
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    operation.change(kernel, Query(file="kernel/module/main.c"), "+p")
    with kernel.watch_log() as watch:
        kernel.load(built("hello"))
        assert any("final section addresses" in record.text for record in watch.new_records())


def test_the_option_at_load_is_taken(kernel: Kernel) -> None:
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    path = kernel_files().modules / "kernel/drivers/net/dummy.ko"
    # a module without call sites of its own takes the option, too
    kernel.load(path, operation.option_at_load(Query("dummy"), "+p"))
    assert kernel.is_loaded("dummy")


def test_what_the_kernel_does_not_understand_is_said(kernel: Kernel) -> None:
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="does not understand"):
        operation.change(kernel, Query(function="move_module"), "+z")
    with pytest.raises(NotFoundError):
        operation.change(kernel, Query(module="nosuch"), "+p")
