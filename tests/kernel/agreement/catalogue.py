"""Why a load fails, case by case: what is done to a fresh kernel, on whichever machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lkm.errors import KernelError
from lkm.kernel.kernel import Kernel, LoadFlags
from tests.kernel.agreement import variants as v

Image = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Load:
    """Load a module made by ``image``."""

    image: Image
    parameters: str = ""
    flags: LoadFlags = LoadFlags.NONE

    def do(self, kernel: Kernel) -> None:
        kernel.load(self.image(), self.parameters, flags=self.flags)


@dataclass(frozen=True, slots=True)
class Unload:
    """Unload a module."""

    name: str
    force: bool = False

    def do(self, kernel: Kernel) -> None:
        kernel.unload(self.name, force=self.force)


@dataclass(frozen=True, slots=True)
class Set:
    """Set a parameter at run time."""

    module: str
    name: str
    value: str

    def do(self, kernel: Kernel) -> None:
        kernel.set_parameter(self.module, self.name, self.value)


@dataclass(frozen=True, slots=True)
class Write:
    """Write to a file of the kernel's."""

    path: str
    text: str

    def do(self, kernel: Kernel) -> None:
        try:
            kernel.write_file(self.path, self.text)
        except OSError as error:
            raise KernelError(f"writing {self.path}", errno=error.errno or 0) from error


Step = Load | Unload | Set | Write


@dataclass(frozen=True, slots=True)
class Case:
    """Steps on a fresh kernel with that command line."""

    steps: tuple[Step, ...]
    command_line: str = ""


def _load(image: Image, parameters: str = "", flags: LoadFlags = LoadFlags.NONE) -> Load:
    return Load(image, parameters, flags)


def _own(name: str, parameters: str = "") -> Load:
    return Load(lambda: v.ours(name), parameters)


def _case(*steps: Step, command_line: str = "") -> Case:
    return Case(steps, command_line)


ENFORCE = "module.sig_enforce=1"
LOCKED = "lockdown=integrity"
FLAGS = "SMP preempt mod_unload modversions "
FORCE = LoadFlags.IGNORE_VERMAGIC | LoadFlags.IGNORE_MODVERSIONS
FAILING_NUMBERS = (1, 2, 8, 12, 16, 17, 19, 22, 110, 517)

CASES: dict[str, Case] = {
    # version magic and symbol versions
    "good": _case(_own("hello"), Unload("hello")),
    "other-release": _case(_load(lambda: v.field("hello", "vermagic", f"6.9.9 {FLAGS}"))),
    "other-flags": _case(_load(lambda: v.field("hello", "vermagic", "6.1.0-56-amd64 SMP "))),
    "other-flags-forced": _case(
        _load(lambda: v.field("hello", "vermagic", "6.1.0 SMP "), flags=LoadFlags.IGNORE_VERMAGIC)
    ),
    "no-vermagic": _case(_load(lambda: v.no_field("hello", "vermagic"))),
    "module-layout": _case(_load(lambda: v.with_crc(v.ours("hello"), "module_layout", 1))),
    "module-layout-forced": _case(
        _load(lambda: v.with_crc(v.ours("hello"), "module_layout", 1), flags=FORCE)
    ),
    "symbol-crc": _case(_load(lambda: v.with_crc(v.ours("hello"), "_printk", 1))),
    "symbol-crc-forced": _case(
        _load(lambda: v.with_crc(v.ours("hello"), "_printk", 1), flags=FORCE)
    ),
    "no-versions": _case(_load(lambda: v.without_section(v.ours("hello"), "__versions"))),
    # the file itself
    "empty": _case(_load(lambda: b"")),
    "text": _case(_load(lambda: b"#!/bin/sh\n" * 50)),
    "gzip-raw": _case(_load(lambda: b"\x1f\x8b\x08" + bytes(200))),
    "short": _case(_load(lambda: v.ours("hello")[:30])),
    "truncated": _case(_load(lambda: v.ours("hello")[:3000])),
    "cut-by-a-byte": _case(_load(lambda: v.ours("hello")[:-1])),
    "other-machine": _case(_load(lambda: v.patched(v.ours("hello"), 0x12, b"\xb7\0"))),
    "executable": _case(_load(lambda: v.patched(v.ours("hello"), 0x10, b"\x02\0"))),
    "32-bit": _case(_load(lambda: v.patched(v.ours("hello"), 4, b"\x01"))),
    "section-headers-beyond": _case(
        _load(lambda: v.patched(v.ours("hello"), 0x28, (1 << 40).to_bytes(8, "little")))
    ),
    "section-header-size": _case(_load(lambda: v.patched(v.ours("hello"), 0x3A, b"\x20\0"))),
    "section-names": _case(_load(lambda: v.patched(v.ours("hello"), 0x3E, b"\xff\x7f"))),
    "stripped": _case(_load(lambda: v.stripped("hello"))),
    "no-this-module": _case(
        _load(lambda: v.without_section(v.ours("hello"), ".gnu.linkonce.this_module"))
    ),
    "no-modinfo": _case(_load(lambda: v.without_section(v.ours("hello"), ".modinfo"))),
    # symbols
    "dependency-missing": _case(_own("importer")),
    "unknown-symbol": _case(_own("unknown_symbol")),
    "gpl-only": _case(
        _own("exporter"), _load(lambda: v.field("importer", "license", "XXX"))
    ),
    "namespace": _case(_own("exporter"), _load(lambda: v.no_field("importer", "import_ns"))),
    "duplicate-symbol": _case(
        _own("exporter"), _load(lambda: v.renamed(v.ours("exporter"), "exporter", "exportex"))
    ),
    "export-crc": _case(
        _own("exporter"), _load(lambda: v.with_crc(v.ours("importer"), "lkm_test_add", 9))
    ),
    "btf": _case(
        _load(lambda: v.patched(v.unsigned("dummy"), v.section(v.debian("dummy"), ".BTF").offset,
                                b"\0\0"))
    ),
    # parameters
    "parameter-bad": _case(_own("params", "an_int=abc")),
    "parameter-range": _case(_own("params", "a_byte=300")),
    "parameter-long-text": _case(_own("params", f"a_charp={'x' * 1100}")),
    "parameter-string-too-long": _case(_own("params", f"a_string={'x' * 40}")),
    "parameter-too-many": _case(_own("params", "an_array=1,2,3,4,5")),
    "parameter-unknown": _case(_own("params", "nothing=1")),
    "parameter-without-value": _case(_own("params", "an_int")),
    "parameter-quoted": _case(_own("params", 'a_charp="a b" an_int=0x10')),
    "parameter-run-time": _case(
        _own("params"), Set("params", "an_int", "7"), Set("params", "an_int", "x"),
        Set("params", "a_long", "1"), Set("params", "a_bool", "maybe"),
    ),
    # init
    **{
        f"init-returns-{number}": _case(_own("init_fails", f"result=-{number}"))
        for number in FAILING_NUMBERS
    },
    "init-positive": _case(_own("init_fails", "result=5")),
    "init-oops": _case(_own("oops"), Unload("oops"), _own("hello")),
    "init-bug": _case(_own("bug"), Unload("bug"), _own("hello")),
    "init-warns": _case(_own("warn"), Unload("warn")),
    # taint
    "proprietary": _case(_own("proprietary"), Unload("proprietary")),
    "no-licence": _case(_load(lambda: v.no_field("hello", "license"))),
    # signatures
    "signed": _case(_load(lambda: v.debian("loop"))),
    "signature-stripped": _case(_load(lambda: v.unsigned("loop"))),
    "signed-by-stranger": _case(_load(lambda: v.keys().signed(v.ours("hello")))),
    "changed-after-signing": _case(
        _load(lambda: v.with_byte_flipped(v.debian("loop"), ".rodata.str1.1"))
    ),
    "trailer-too-long": _case(
        _load(lambda: v.patched(v.debian("loop"), len(v.debian("loop")) - 32, b"\x7f"))
    ),
    "enforced-signed": _case(_load(lambda: v.debian("loop")), command_line=ENFORCE),
    "enforced-unsigned": _case(_own("hello"), command_line=ENFORCE),
    "enforced-stranger": _case(
        _load(lambda: v.keys().signed(v.ours("hello"))), command_line=ENFORCE
    ),
    "enforced-forced": _case(
        _load(lambda: v.debian("loop"), flags=LoadFlags.IGNORE_VERMAGIC), command_line=ENFORCE
    ),
    "locked-unsigned": _case(_own("hello"), command_line=LOCKED),
    "locked-signed": _case(_load(lambda: v.debian("loop")), command_line=LOCKED),
    # the kernel's own switches
    "module-blacklist": _case(_own("hello"), _own("params"), command_line="module_blacklist=hello"),
    "modules-disabled": _case(
        _own("hello"), Write("/proc/sys/kernel/modules_disabled", "1"), _own("params"),
        Unload("hello"), Write("/proc/sys/kernel/modules_disabled", "0"),
    ),
    # unloading
    "twice": _case(_own("hello"), _own("hello"), Unload("hello"), Unload("hello")),
    "held": _case(
        _own("exporter"), _own("importer"), Unload("exporter"), Unload("exporter", force=True),
        Unload("importer"), Unload("exporter"),
    ),
    "in-use": _case(
        _own("busy"), Set("busy", "held", "1"), Unload("busy"), Set("busy", "held", "0"),
        Unload("busy"),
    ),
    "in-use-forced": _case(
        _own("busy"), Set("busy", "held", "1"), Unload("busy", force=True),
    ),
    "no-exit": _case(_own("no_exit"), Unload("no_exit"), Unload("no_exit", force=True)),
}  # fmt: skip
