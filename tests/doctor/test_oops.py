"""Reports taken apart: those of 5.10, 6.1 and 7.3, made under QEMU by a module that dies in init.

``syslog.txt`` alone is written by hand.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkm.doctor import oops, verdict
from lkm.doctor.oops import Kind, Oops
from lkm.doctor.verdict import ModuleRange

DATA = Path(__file__).parent / "data"


def report(name: str) -> Oops:
    (found,) = oops.parse((DATA / name).read_text())
    return found


def test_null_pointer_write_in_a_modules_init() -> None:
    found = report("oops-6.1.txt")
    assert found.kind is Kind.OOPS
    assert found.title == "BUG: kernel NULL pointer dereference, address: 0000000000000000"
    assert str(found.location) == "oopsinit_boom+0x5/0x15 [oopsinit]"
    # "Unable to access opcode bytes at 0xffffffffc020dfdb" is 42 bytes before the fault
    assert found.location is not None
    assert found.location.address == 0xFFFFFFFFC020E005
    assert (found.error_code, found.fault_address) == (2, 0)
    assert (found.cpu, found.pid, found.comm) == (0, 79, "init")
    assert found.release == "6.1.0-56-amd64"
    assert "".join(flag.letter for flag in found.taints) == "OE"
    assert dict(found.registers)["R10"] == 3
    assert dict(found.registers)["RAX"] == 0xF
    assert found.modules[0] == oops.LinkedModule("oopsinit", "OE", "+")
    assert [str(f) for f in found.trace[:3]] == [
        "i+0x25/0x1000 [oopsinit]",
        "do_one_initcall+0x59/0x220",
        "do_init_module+0x4a/0x1f0",
    ]
    assert [f.function for f in found.trace if not f.reliable] == [
        "handle_mm_fault",
        "do_user_addr_fault",
        "exit_to_user_mode_prepare",
    ]
    assert found.complete
    assert verdict.in_words(found) == "wrote to address 0: a pointer was NULL"


RELEASES = {"5.10": "5.10.0-46-amd64", "7.3": "7.3.4+deb13-amd64"}


@pytest.mark.parametrize("version", RELEASES)
def test_the_oldest_and_the_newest_kernels_null_pointer(version: str) -> None:
    found = report(f"oops-{version}.txt")
    assert found.kind is Kind.OOPS
    assert found.title == "BUG: kernel NULL pointer dereference, address: 0000000000000000"
    assert str(found.location) == "oopsinit_boom+0x5/0x15 [oopsinit]"
    assert (found.error_code, found.fault_address) == (2, 0)
    assert found.release == RELEASES[version]
    assert (found.cpu, found.comm) == (0, "init")
    assert found.hardware.startswith("QEMU Standard PC")
    assert "".join(flag.letter for flag in found.taints) == "OE"
    assert found.modules[0] == oops.LinkedModule("oopsinit", "OE", "+")
    assert found.trace[0].function == "on_load"
    assert [f.function for f in found.trace if f.reliable][:2] == ["on_load", "do_one_initcall"]
    assert dict(found.registers)["RAX"] == 0  # not the caller's of user space, further down
    assert found.complete
    assert verdict.in_words(found) == "wrote to address 0: a pointer was NULL"


def test_the_code_that_5_10_could_not_read_tells_where_it_was() -> None:
    found = report("oops-5.10.txt")
    assert found.code is None
    assert found.location is not None
    # "Unable to access opcode bytes at RIP 0xffffffffc0023fdb": 42 bytes before
    assert found.location.address == 0xFFFFFFFFC0024005


@pytest.mark.parametrize(
    ("version", "source"), [("5.10", "/home/u/oopsinit/oopsinit.c"), ("7.3", "oopsinit.c")]
)
def test_the_oldest_and_the_newest_kernels_warning_and_bug(version: str, source: str) -> None:
    warning, bug = report(f"warning-{version}.txt"), report(f"bug-{version}.txt")
    assert (warning.kind, bug.kind) == (Kind.WARNING, Kind.BUG)
    assert (warning.source, bug.source) == (f"{source}:21", f"{source}:24")
    for found in (warning, bug):
        assert found.location is not None
        assert (found.location.function, found.location.module) == ("on_load", "oopsinit")
        assert (found.release, found.complete) == (RELEASES[version], True)
    assert warning.details == ("oopsinit: a warning",)
    assert warning.code is not None
    # ud2; newer kernels pass the warning's arguments in a ud1.
    trap = warning.code.data[warning.code.fault :]
    assert trap.startswith(b"\x0f\x0b" if version == "5.10" else b"\x67\x48\x0f\xb9")


@pytest.mark.parametrize("version", RELEASES)
def test_the_oldest_and_the_newest_kernels_panic(version: str) -> None:
    found = report(f"panic-{version}.txt")
    assert found.kind is Kind.PANIC
    assert verdict.frames(found)[0].function == "on_load"
    suspect = verdict.suspect(found)
    assert suspect is not None
    assert suspect.module == "oopsinit"


def test_a_crash_that_was_asked_for() -> None:
    found = report("sysrq-5.10.txt")
    assert (found.kind, found.pid, found.taints) == (Kind.PANIC, 1, ())
    assert verdict.in_words(found) == "the kernel stopped for good: sysrq triggered crash"
    assert next(f.function for f in verdict.frames(found) if f.reliable) == "sysrq_handle_crash"
    assert verdict.suspect(found) is None


def test_warning_names_its_place_and_its_module() -> None:
    found = report("warning-6.1.txt")
    assert found.kind is Kind.WARNING
    assert found.source == "/home/u/oopsinit/oopsinit.c:4"
    assert found.details == ("oopsinit: a warning",)
    assert found.code is not None
    assert found.code.data[found.code.fault :][:2] == b"\x0f\x0b"  # ud2
    suspect = verdict.suspect(found)
    assert suspect is not None
    assert suspect.module == "oopsinit"


def test_bug_is_said_to_be_one() -> None:
    found = report("bug-6.1.txt")
    assert found.kind is Kind.BUG
    assert found.source == "/home/u/oopsinit/oopsinit.c:4"
    assert "BUG()" in verdict.in_words(found)
    assert found.complete


def test_panic_passes_over_the_kernels_own_reporting() -> None:
    found = report("panic-6.1.txt")
    assert found.kind is Kind.PANIC
    assert str(verdict.frames(found)[0]) == "i+0x5a/0x1000 [oopsinit]"
    suspect = verdict.suspect(found)
    assert suspect is not None
    assert suspect.module == "oopsinit"


def test_the_older_form_in_a_syslog_file() -> None:
    found = report("syslog.txt")
    assert found.title == "BUG: unable to handle page fault for address: ffffc90000a01000"
    assert "".join(flag.letter for flag in found.taints) == "PWO"
    assert str(found.location) == "ring_read+0x2c/0x90 [ring_dev]"
    assert found.modules[2] == oops.LinkedModule("x_tables", "", "-")
    assert dict(found.registers)["RBX"] == 0x6B6B6B6B6B6B6B6B  # not the caller's of user space
    ranges = (ModuleRange("ring_dev", 0xFFFFFFFFC0700000, 0x4000),)
    notes = {note.register: note for note in verdict.registers(found, ranges)}
    assert notes["RDX"].meaning == "ring_dev + 0x1040"
    assert "use after free" in notes["RBX"].meaning
    assert "LIST_POISON1" in notes["RDI"].meaning


def test_newer_forms_of_the_same_lines() -> None:
    text = "\n".join(
        (
            "[   10.0] [  T123] Oops: general protection fault, probably for non-canonical "
            "address 0xdead000000000108: 0000 [#1] PREEMPT SMP NOPTI",
            "[   10.0] [  T123] CPU: 1 UID: 0 PID: 123 Comm: kworker/1:2 Tainted: G      "
            "D W  OE      6.12.0-1 #1",
            "[   10.0] [  T123] Tainted: [D]=DIE, [W]=WARN, [O]=OOT_MODULE, [E]=UNSIGNED_MODULE",
            "[   10.0] [  T123] RIP: 0010:f+0x1/0x2 [m 3a8c0d1e2f3a8c0d1e2f3a8c0d1e2f3a8c0d1e2f]",
        )
    )
    (found,) = oops.parse(text)
    assert (found.comm, found.pid, found.release) == ("kworker/1:2", 123, "6.12.0-1")
    assert "".join(flag.letter for flag in found.taints) == "DWOE"
    assert found.location is not None
    assert found.location.module == "m"
    assert not found.complete


def test_arm64() -> None:
    text = "\n".join(
        (
            "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010",
            "Internal error: Oops: 96000045 [#1] PREEMPT SMP",
            "CPU: 0 PID: 79 Comm: insmod Tainted: G           O      6.1.0-56-arm64 #1",
            "pc : boom+0x8/0x10 [oopsinit]",
            "lr : i+0x24/0x1000 [oopsinit]",
            "x29: ffff80000a6fba60 x28: 0000000000000000 x27: 0000000000000000",
            "Call trace:",
            " boom+0x8/0x10 [oopsinit]",
            " do_one_initcall+0x40/0x1f0",
            "Code: d503201f d2800000 52800541 (b9000001)",
            "---[ end trace 0000000000000000 ]---",
        )
    )
    (found,) = oops.parse(text)
    assert str(found.location) == "boom+0x8/0x10 [oopsinit]"
    assert [f.function for f in found.trace] == ["boom", "do_one_initcall"]
    assert found.code is not None
    assert found.code.data[found.code.fault :] == bytes.fromhex("010000b9")
    assert found.complete


def test_two_reports_in_one_log() -> None:
    text = (DATA / "warning-6.1.txt").read_text() + (DATA / "oops-6.1.txt").read_text()
    assert [r.kind for r in oops.parse(text)] == [Kind.WARNING, Kind.OOPS]


def test_a_quiet_log_has_no_report() -> None:
    assert oops.parse("[    1.0] loop: module loaded\n[    2.0] usb 1-1: new device\n") == ()


LINES = [
    line
    for name in ("oops-6.1.txt", "oops-5.10.txt", "oops-7.3.txt", "syslog.txt")
    for line in (DATA / name).read_text().splitlines(keepends=True)
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=60)), max_size=40), st.data())
def test_any_mixture_of_lines_is_read_without_an_error(
    lines: list[str], data: st.DataObject
) -> None:
    text = "".join(lines)
    cut = data.draw(st.integers(0, len(text)))
    for found in oops.parse(text[cut:]):
        verdict.in_words(found)
        verdict.suspect(found)
        verdict.registers(found)
        verdict.frames(found)


@pytest.mark.parametrize(
    "line", ["a" * 300_000, "Code: " + "00 " * 100_000, "Modules linked in: " * 9999]
)
def test_a_very_long_line_takes_no_long_time(line: str) -> None:
    oops.parse("BUG: x\n" + line)


@pytest.mark.parametrize("release", ["9" * 5000, "6.1/../../etc", "6.1\0x", "6.1" + "a" * 300])
def test_odd_releases_are_no_paths(release: str) -> None:
    from lkm.operations import oops as operation

    text = f"BUG: x\nCPU: 1 PID: 2 Comm: y Not tainted {release} #1\nRIP: 0010:f+0x1/0x2 [m]\n"
    (found,) = operation.decode(text)
    assert "/" not in found.oops.release
    assert len(found.oops.release) <= 128
