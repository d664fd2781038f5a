"""Every way a load fails, made to happen on a real kernel, and what the doctor says of it.

Each row is checked twice: judging the file against the kernel (as after a refused load), and from
the kernel's log with the tool's line alone.
"""

from __future__ import annotations

import errno
import gzip
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lkm.cli.commands.kmod_tools import insmod
from lkm.doctor import log
from lkm.doctor.finding import Finding
from lkm.doctor.rules.all_rules import RULES
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.module import signature
from lkm.module.image import ModuleImage
from lkm.operations.explanation import first_finding
from lkm.operations.running.users import users_in
from lkm.signing.sign import signed
from tests.doctor import mutations, reality
from tests.doctor.mutations import Module
from tests.support.kernels import kernel_files
from tests.support.modules import built

FILES = kernel_files()


@dataclass(frozen=True, slots=True)
class Row:
    """One failure: how to make the file, what was loaded before, and what must come of it."""

    name: str
    make: Callable[[], bytes]
    errno: int
    finding: str
    file: str = "hello"
    parameters: str = ""
    before: tuple[str, ...] = ()
    command_line: str = ""
    in_log: str = ""
    """The finding the log alone leads to, where it cannot tell as much as the file."""


def unsigned(name: str) -> bytearray:
    path = tree(name) if name in reality.tree(FILES).modules else built(name)
    return bytearray(signature.strip(path.read_bytes()))


def tree(name: str) -> Path:
    return Path(reality.tree(FILES).modules[name])


def field(name: str, key: str, text: str) -> bytes:
    data = unsigned(name)
    place = mutations._field(data, key)
    assert place is not None
    assert mutations._put(data, place, text)
    return bytes(data)


def wrong_crc(name: str, symbol: str) -> bytes:
    data = unsigned(name)
    table = mutations._section(data, "__versions")
    assert table is not None
    at = data.index(symbol.encode() + b"\0", table.start, table.stop)
    data[at - 8] ^= 0x5A
    return bytes(data)


def header(offset: int, form: str, value: int) -> bytes:
    data = unsigned("hello")
    struct.pack_into(form, data, offset, value)
    return bytes(data)


def stripped() -> bytes:
    data = unsigned("hello")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    symtab = ModuleImage.from_bytes(bytes(data)).elf.symbol_table
    assert symtab is not None
    struct.pack_into("<I", data, table + 64 * symtab.index + 4, 1)
    return bytes(data)


def huge() -> bytes:
    """A module that wants two gigabytes."""
    data = unsigned("params")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    bss = ModuleImage.from_bytes(bytes(data)).elf.section(".bss")
    assert bss is not None
    struct.pack_into("<Q", data, table + 64 * bss.index + 32, 0x70000000)
    return bytes(data)


def tampered() -> bytes:
    data = bytearray(tree("loop").read_bytes())
    place = mutations._field(data, "license")
    assert place is not None
    data[data.index(b"loop: module loaded")] ^= 0x20
    return bytes(data)


def trailer(offset: int, value: bytes) -> bytes:
    data = bytearray(signed(bytes(unsigned("hello")), mutations.signer()))
    at = len(data) - len(signature.MARKER) - 12 + offset
    data[at : at + len(value)] = value
    return bytes(data)


def duplicate() -> bytes:
    return bytes(mutations._renamed(Module(built("exporter"))))


def without_namespace() -> bytes:
    return field("importer", "import_ns", "OTHER")


E2 = errno
ENFORCE = "module.sig_enforce=1"
ROWS = (
    Row("vermagic", lambda: field("hello", "vermagic", "6.1.0-56-amd64 SMP preempx mod_unload "
        "modversions "), E2.ENOEXEC, "vermagic"),
    Row("module_layout", lambda: wrong_crc("hello", "module_layout"), E2.ENOEXEC, "module-layout"),
    Row("machine", lambda: header(18, "<H", 183), E2.ENOEXEC, "wrong-machine"),
    Row("text", lambda: b"no module, but some text\n" * 8, E2.ENOEXEC, "not-elf"),
    Row("packed", lambda: gzip.compress(bytes(unsigned("hello"))), E2.ENOEXEC, "not-elf"),
    Row("truncated", lambda: bytes(unsigned("hello"))[:-1], E2.ENOEXEC, "damaged-file"),
    Row("program", lambda: header(16, "<H", 3), E2.ENOEXEC, "not-relocatable"),
    Row("stripped", stripped, E2.ENOEXEC, "stripped"),
    Row("duplicate", duplicate, E2.ENOEXEC, "duplicate-symbol", before=("exporter",)),
    Row("crc", lambda: wrong_crc("hello", "_printk"), E2.EINVAL, "symbol-version"),
    Row("namespace", without_namespace, E2.EINVAL, "namespace", "importer", before=("exporter",)),
    Row("bad value", lambda: bytes(unsigned("params")), E2.EINVAL, "bad-parameter", "params",
        "an_int=abc"),
    Row("overflow", lambda: bytes(unsigned("params")), E2.ERANGE, "bad-parameter", "params",
        "an_int=99999999999"),
    Row("too long", lambda: bytes(unsigned("params")), E2.ENOSPC, "bad-parameter", "params",
        "a_charp=" + "x" * 1025),
    Row("too many", lambda: bytes(unsigned("params")), E2.EINVAL, "bad-parameter", "params",
        "an_array=1,2,3,4,5"),
    Row("empty", lambda: b"", E2.EINVAL, "empty-file", in_log="see-kernel-log"),
    Row("dependency", lambda: tree("dm_crypt").read_bytes(), E2.ENOENT, "dependency-not-loaded",
        "dm_crypt", in_log="unknown-symbol"),
    Row("GPL only", lambda: field("loop", "license", "X"), E2.ENOENT, "gpl-only-symbol", "loop",
        in_log="unknown-symbol"),
    Row("nobody", lambda: bytes(unsigned("unknown_symbol")), E2.ENOENT, "unknown-symbol",
        "unknown_symbol"),
    Row("init: ENOENT", lambda: bytes(unsigned("init_fails")), E2.ENOENT, "init-failed",
        "init_fails", "result=-2", in_log="see-kernel-log"),
    Row("init: ENODEV", lambda: bytes(unsigned("init_fails")), E2.ENODEV, "init-failed",
        "init_fails"),
    Row("init: EBUSY", lambda: bytes(unsigned("init_fails")), E2.EBUSY, "init-failed",
        "init_fails", "result=-16"),
    Row("init: EPROBE_DEFER", lambda: bytes(unsigned("init_fails")), 517, "init-failed",
        "init_fails", "result=-517"),
    Row("unsigned", lambda: bytes(unsigned("hello")), E2.EKEYREJECTED, "signature-unsigned",
        command_line=ENFORCE),
    Row("unknown key", lambda: signed(bytes(unsigned("hello")), mutations.signer()),
        E2.EKEYREJECTED, "signature-unavailable", command_line=ENFORCE),
    Row("other type", lambda: trailer(2, b"\1"), E2.EKEYREJECTED, "signature-crypto",
        command_line=ENFORCE),
    Row("tampered", tampered, E2.EKEYREJECTED, "tampered", "loop", in_log="signature-refused"),
    Row("length", lambda: trailer(8, b"\xff\xff\xff\xff"), E2.EBADMSG, "signature-broken"),
    Row("fields", lambda: trailer(0, b"\1"), E2.EBADMSG, "signature-broken"),
    Row("lockdown", lambda: bytes(unsigned("hello")), E2.EPERM, "lockdown",
        command_line="lockdown=integrity"),
    Row("module_blacklist", lambda: bytes(unsigned("hello")), E2.EPERM, "kernel-blacklist",
        command_line="module_blacklist=other,hello"),
    Row("loaded", lambda: bytes(unsigned("hello")), E2.EEXIST, "already-loaded",
        before=("hello",)),
    Row("no room", huge, E2.ENOMEM, "no-memory", "params"),
)  # fmt: skip


@pytest.fixture(scope="module")
def kernels() -> Iterator[dict[str, Kernel]]:
    opened: dict[str, Kernel] = {}
    yield opened
    for kernel in opened.values():
        kernel.close()


def fresh(kernels: dict[str, Kernel], command_line: str = "") -> Kernel:
    if command_line not in kernels:
        kernels[command_line] = Kernel(open_machine(FILES.vmlinuz, command_line=command_line))
    kernel = kernels[command_line]
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    return kernel


def refuse(row: Row, kernel: Kernel, folder: Path) -> tuple[Path, int, tuple[str, ...]]:
    """Make the row happen; return the file, the kernel's errno and what it logged."""
    path = folder / f"{row.file}.ko"
    path.write_bytes(row.make())
    for name in row.before:
        kernel.load(built(name))
    case = mutations.Case("", row.name, path, path.read_bytes(), parameters=row.parameters)
    happened = reality.load(case, kernel)
    assert not happened.signal, happened.log
    return path, happened.errno, happened.log


def tool_line(path: Path, number: int) -> str:
    words = insmod._WORDS.get(number) or os.strerror(number)
    return f"insmod: ERROR: could not insert module {path}: {words}"


def is_actionable(finding: Finding) -> bool:
    return bool(finding.cause and any(fix.text for fix in finding.fixes))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, kernels: dict[str, Kernel], tmp_path: Path) -> None:
    kernel = fresh(kernels, row.command_line)
    path, number, lines = refuse(row, kernel, tmp_path)
    assert number == row.errno, lines
    finding = first_finding(kernel, str(path), row.parameters, errno=number, lines=lines)
    assert (finding.name, finding.errno) == (row.finding, row.errno), finding
    assert is_actionable(finding)
    if finding.message:
        assert any(finding.message in line for line in lines), (finding.message, lines)
    text = "\n".join((*lines, tool_line(path, number)))
    told = log.explain(text, RULES)[0].finding
    assert told.name == (row.in_log or row.finding), told
    assert is_actionable(told)


def test_an_unknown_parameter_only_warns(kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    with kernel.watch_log() as watch:
        kernel.load(built("params"), "bogus=1")
        text = "\n".join(record.text for record in watch.new_records())
    (found,) = (
        e.finding for e in log.explain(text, RULES) if e.finding.name == "unknown-parameter"
    )
    assert found.subject == "bogus"


def test_a_positive_result_loads_with_a_trace(kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    with kernel.watch_log() as watch:
        kernel.load(built("init_fails"), "result=1")
        text = "\n".join(record.text for record in watch.new_records())
    assert "init-positive" in [each.finding.name for each in log.explain(text, RULES)]


@pytest.mark.parametrize(("name", "signal"), [("oops", 9), ("bug", 11)])
def test_a_crash_in_init(name: str, signal: int, kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    with pytest.raises(KernelError) as caught:
        kernel.load(built(name))
    error = caught.value
    finding = first_finding(kernel, str(built(name)), signal=error.signal, lines=error.log)
    assert (error.signal, finding.name) == (signal, "init-crashed")
    # and it is stuck: no second load, no unload
    assert users_in(kernel, name).name == "stuck"
    with pytest.raises(KernelError) as caught:
        kernel.unload(name)
    assert caught.value.errno == errno.EBUSY


def test_modules_disabled(kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    kernel.write_file("/proc/sys/kernel/modules_disabled", "1")
    with pytest.raises(KernelError) as caught:
        kernel.load(built("hello"))
    finding = first_finding(kernel, str(built("hello")), errno=caught.value.errno)
    assert (finding.name, finding.errno) == ("modules-disabled", errno.EPERM)


def test_struct_module_of_another_size(kernels: dict[str, Kernel]) -> None:
    """Newer kernels check it; its message is the only sign."""
    files = kernel_files("6.12.")
    with Kernel(open_machine(files.vmlinuz)) as kernel:
        with pytest.raises(KernelError) as caught:
            kernel.load(built("hello"))
        error = caught.value
        finding = first_finding(kernel, str(built("hello")), errno=error.errno, lines=error.log)
    assert (finding.name, error.errno) == ("struct-module-size", errno.ENOEXEC)
    assert any(finding.message in line for line in error.log)
    assert log.explain("\n".join(error.log), RULES)[0].finding.name == "struct-module-size"


def test_a_dependency_whose_init_never_ends(kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    with pytest.raises(KernelError):
        kernel.load(built("stuck_exporter"))
    # the kernel itself waits 30 seconds
    kernel.syscalls.session.module_timeout = 90.0  # type: ignore[attr-defined]
    with pytest.raises(KernelError) as caught:
        kernel.load(built("stuck_importer"))
    found = log.explain("\n".join(caught.value.log), RULES)
    assert "dependency-stuck" in [each.finding.name for each in found], caught.value.log


def test_unloading_what_is_used_what_has_no_exit_and_what_is_not_there(
    kernels: dict[str, Kernel],
) -> None:
    kernel = fresh(kernels)
    for name in ("exporter", "importer", "no_exit"):
        kernel.load(built(name))
    for name, number in (("exporter", errno.EAGAIN), ("no_exit", errno.EBUSY), ("x", errno.ENOENT)):
        with pytest.raises(KernelError) as caught:
            kernel.unload(name)
        assert caught.value.errno == number
    used = users_in(kernel, "exporter")
    assert (used.name, [e.value for e in used.evidence]) == ("in-use", ["importer", "1"])
    assert users_in(kernel, "importer").name == "not-in-use"
    assert users_in(kernel, "x").name == "not-loaded"


def test_who_uses_a_file_system(kernels: dict[str, Kernel]) -> None:
    kernel = fresh(kernels)
    kernel.load(tree("configfs"))
    assert users_in(kernel, "configfs").name == "not-in-use"
    kernel.mount("none", "/sys/kernel/config", "configfs")
    finding = users_in(kernel, "configfs")
    assert finding.name == "in-use"
    assert "the configfs file system mounted at /sys/kernel/config" in [
        e.value for e in finding.evidence
    ]
    with pytest.raises(KernelError) as caught:
        kernel.unload("configfs")
    assert caught.value.errno == errno.EAGAIN
