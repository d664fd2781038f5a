"""What a log or a pasted error shows; the messages are those the kernel and kmod print."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkm.doctor import log
from lkm.doctor.finding import Finding
from lkm.doctor.rules.all_rules import RULES


def causes(text: str) -> list[str]:
    return [each.finding.name for each in log.explain(text, RULES)]


def first(text: str) -> Finding:
    return log.explain(text, RULES)[0].finding


@pytest.mark.parametrize(
    ("text", "cause", "subject"),
    [
        ("good: version magic '6.9 SMP ' should be '6.1.0 SMP preempt '", "vermagic", ""),
        ("good: disagrees about version of symbol module_layout", "module-layout", "module_layout"),
        ("good: disagrees about version of symbol _printk", "symbol-version", "_printk"),
        ("Invalid architecture in ELF header: 183", "wrong-machine", ""),
        ("Invalid ELF header magic: != \x7fELF", "not-elf", ""),
        ("Invalid ELF section header overflow", "damaged-file", ""),
        ("Module has invalid ELF structures", "damaged-file", ""),
        ("good: module has no symbols (stripped?)", "stripped", ""),
        ("b: exports duplicate symbol f (owned by a)", "duplicate-symbol", "f"),
        (
            "x: module uses symbol (f) from namespace NS, but does not import it.",
            "namespace",
            "f",
        ),
        ("failed to validate module [x] BTF: -22", "btf", ""),
        ("good: `abc' invalid for parameter `num'", "bad-parameter", "num"),
        ("arr: can only take 4 arguments", "bad-parameter", "arr"),
        ("name: string parameter too long", "bad-parameter", "name"),
        ("good: unknown parameter 'bogus' ignored", "unknown-parameter", "bogus"),
        ("x: Unknown symbol f (err -2)", "unknown-symbol", "f"),
        ("Loading of unsigned module is rejected", "signature-unsigned", ""),
        ("Loading of module with unavailable key is rejected", "signature-unavailable", ""),
        ("Invalid module sig (has authattrs)", "signature-options", ""),
        ("module: not signed with expected PKCS#7 message", "signature-type", ""),
        (
            "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7",
            "lockdown",
            "",
        ),
        ("Module loop is blacklisted", "kernel-blacklist", ""),
        ("x: gave up waiting for init of module y.", "dependency-stuck", "y"),
        (
            "do_init_module: 'einval'->init suspiciously returned 1, it should follow",
            "init-positive",
            "",
        ),
        (
            "einval: init suspiciously returned 7, it should follow 0/-E convention",
            "init-positive",
            "",
        ),
        (
            "x: module uses symbol (f) from namespace module:kvm-amd,snd*, but does not import it.",
            "namespace",
            "f",
        ),
        ("good: bad vermagic: kernel tainted.", "forced-load", ""),
        (
            "insmod: ERROR: could not load module n.ko: No such file or directory",
            "file-missing",
            "n.ko",
        ),
        ("insmod: ERROR: could not insert module e.ko: Bad message", "signature-broken", ""),
        (
            "modprobe: ERROR: could not insert 'x': Required key not available",
            "signature-unavailable",
            "",
        ),
        ("modprobe: ERROR: could not insert 'x': No such device", "init-failed", ""),
        ("modprobe: ERROR: could not insert 'x': Unknown error 517", "init-failed", ""),
        ("modprobe: ERROR: could not insert 'x': File exists", "already-loaded", ""),
        ("modprobe: ERROR: could not insert 'x': Cannot allocate memory", "no-memory", ""),
        ("modprobe: ERROR: could not insert 'x': Operation not permitted", "not-permitted", ""),
        ("modprobe: ERROR: could not insert 'x': Exec format error", "see-kernel-log", ""),
        ("rmmod: ERROR: Module good is in use by: busyref", "in-use", ""),
        ("rmmod: ERROR: Module good is not currently loaded", "not-loaded", ""),
        ("rmmod: ERROR: could not remove module x: Device or resource busy", "cannot-unload", ""),
        (
            "modprobe: FATAL: Module nosuch not found in directory /lib/modules/6.1.0-56-amd64",
            "module-not-found",
            "nosuch",
        ),
        (
            "FATAL: modpost: GPL-incompatible module x.ko uses GPL-only symbol 'f'",
            "modpost-gpl-only",
            "f",
        ),
        ('ERROR: modpost: "f" [/tmp/x.ko] undefined!', "modpost-undefined", "f"),
        (
            "gcc: error: unrecognized command-line option ‘-fmin-function-alignment=16’",
            "compiler-too-old",
            "-fmin-function-alignment=16",
        ),
        ("error: incompatible gcc/plugin versions", "compiler-plugins", ""),
        (
            "/x/a.c:3:4: error: implicit declaration of function ‘f’",
            "api-changed",
            "there is no function f",
        ),
        (
            "/x/a.c:3:4: error: ‘struct a’ has no member named ‘b’",
            "api-changed",
            "there is no member b",
        ),
        (
            "Error! Your kernel headers for kernel 6.1.0-9-amd64 cannot be found.",
            "headers-missing",
            "6.1.0-9-amd64",
        ),
        (
            "make: *** /lib/modules/6.9/build: No such file or directory.  Stop.",
            "headers-missing",
            "6.9",
        ),
    ],
)
def test_each_message_is_known(text: str, cause: str, subject: str) -> None:
    finding = first(f"[   12.345678] {text}")
    assert (finding.name, finding.subject or subject) == (cause, subject or finding.subject)
    assert finding.cause
    assert finding.fixes or finding.name in {"init-positive"}


def test_the_kernels_line_outranks_the_tools() -> None:
    text = """\
insmod: ERROR: could not insert module good.ko: Invalid module format
[    1.7] good: version magic '6.1 SMP preempx ' should be '6.1 SMP preempt '
"""
    assert causes(text) == ["vermagic"]
    evidence = {e.what: e.value for e in first(text).evidence}
    assert evidence["words it lacks"] == "preempt"
    assert evidence["words the kernel has not"] == "preempx"


def test_a_message_without_a_name_takes_the_tools() -> None:
    text = """\
<5>[    1.9] Loading of unsigned module is rejected
modprobe: ERROR: could not insert 'good': Key was rejected by service
"""
    finding = first(text)
    assert (finding.name, finding.module) == ("signature-unsigned", "good")


def test_the_echo_of_a_version_mismatch_is_one_cause() -> None:
    text = "a: disagrees about version of symbol f\na: Unknown symbol f (err -22)\n"
    assert causes(text) == ["symbol-version"]


def test_two_lines_about_one_parameter_are_one_cause() -> None:
    text = "arr: can only take 4 arguments\ngood: `1' invalid for parameter `arr'\n"
    finding = first(text)
    assert causes(text) == ["bad-parameter"]
    assert (finding.module, finding.subject) == ("good", "arr")


def test_users_of_a_module_are_named() -> None:
    finding = first("rmmod: ERROR: Module good is in use by: busyref other")
    assert [e.value for e in finding.evidence] == ["busyref", "other"]
    assert finding.fixes[0].commands == ("sudo rmmod busyref other good",)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read_without_an_error(text: str) -> None:
    log.explain(text, RULES)
