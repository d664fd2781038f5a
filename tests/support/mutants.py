"""``python -m tests.support.mutants SEED COUNT TARGET…``: damaged input for parsers and protocols.

Every mutant must end in facts or in an ``LkmError`` (an ``OSError`` too, where the input is a
guest's error). Anything else, more than a second of processor time or more than 256 MiB ends the
run. The outcome is one JSON object: a figure a target, with its slowest mutant in seconds.
"""

from __future__ import annotations

import functools
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lkm.doctor import inventory
from lkm.elf import notes
from lkm.errors import LkmError
from lkm.kernel import log, proc, uevent
from lkm.kernel.guest import wire
from lkm.kernel.vm import replies
from lkm.kernels.unpack.folder import Unpacked, unpack_tar
from lkm.kernels.unpack.rpm import unpack_cpio
from lkm.module import modinfo, signature
from lkm.signing import certificate, efi, pkcs7
from lkm.tree.config import parse_rules
from lkm.tree.index_file import IndexFile
from lkm.vmlinux import config
from lkm.vmlinux.btf import Btf
from tests.support import fuzz
from tests.support.corrupt import mutant
from tests.support.kernels import kernel_files

MEMORY = 384 << 20  # 256 MiB for a mutant, over what Python and the seeds take
SECONDS = 1.0
Reader = Callable[[bytes], object]


def _reply(data: bytes) -> object:
    """Read a message, and take it for the answer to each request in turn."""
    answer = replies.receive(_exactly(data), "vm:x")
    for call in replies._REPLIES:
        try:
            replies.value_of(call, answer, "vm:x")
        except (LkmError, OSError):
            continue
    return answer


def _modprobe(data: bytes) -> object:
    return replies.modprobe_message(replies.receive(_exactly(data), "vm:x"), "vm:x")


def _exactly(data: bytes) -> Callable[[int], bytes]:
    stream = io.BytesIO(data)

    def read(count: int) -> bytes:
        found = stream.read(count)
        if len(found) < count:
            raise ConnectionResetError
        return found

    return read


def _kmsg(data: bytes) -> object:
    log.parse_text(data.decode("utf-8", "replace"))
    return log.parse_record(data)


def _index(data: bytes) -> object:
    index = IndexFile(data)
    return index.search_values("hello"), index.search_wild("pci:v00008086d00001234sv00")


def _btf(data: bytes) -> object:
    types = Btf(data)
    for number in range(min(types.count, 50)):
        try:
            types.spell(number)
        except LkmError:
            continue
    return types.has("module", "name")


def _archive(unpack: Callable[[io.BytesIO, Unpacked], None], data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Unpacked(Path(folder))
        unpack(io.BytesIO(data), unpacked)
        unpacked.finish()


def _cpio(data: bytes) -> None:
    _archive(lambda stream, place: unpack_cpio(stream, place, lambda done, total: None), data)


def _tar(data: bytes) -> None:
    _archive(lambda stream, place: unpack_tar(stream, "", place), data)


def _messages() -> list[bytes]:
    values: list[Any] = [
        *({"value": 3}, {"value": b"text"}, {"value": [b"a", b"b"]}, {"errno": 2, "file": "/x"}),
        *({"value": [1, 2, 3, 4, [5, 6], 7]}, {"value": [b"", b"", None]}, {"value": ["a", "b"]}),
        *({"value": [0, 22, 0]}, {"failure": "Traceback"}, {"value": None}),
        *(["request", ["/sbin/modprobe", "-q", "--", "x"]], ["results", 0, [["x", -17]]]),
    ]
    return [wire.encode(value) for value in values]


_LINES = (
    b"6,1234,5678901,-,caller=T1;hostile: text\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00\n",
    b"<4>[   12.345678] WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2 [m]\n",
)
_RULES = b"alias a-* b\noptions b x=1 y='2 3'\ninstall c /bin/true\nsoftdep d pre: e post: f\n#\n"


def _seeds() -> dict[str, list[bytes]]:
    modules = kernel_files().modules
    image = next(modules.rglob("crc16.ko")).read_bytes()
    small = fuzz.seeds()
    signed = signature.read(image)
    assert signed
    tar, cpio = _small_archives()
    return {
        "module": small,
        "agent reply": _messages(),
        "modprobe message": _messages(),
        "log": list(_LINES),
        "module list": [b"loop 40960 2 dm_mod,nbd, Live 0xffffffffc0201000 (OE)\n" * 3],
        "uevent": [b"add@/devices/x\0ACTION=add\0SUBSYSTEM=misc\0DEVNAME=x\0"],
        "index": [
            (modules / f"modules.{name}.bin").read_bytes() for name in ("builtin", "builtin.alias")
        ],
        "modinfo": [b"license=GPL\0name=x\0depends=a,b\0parm=n:number (int)\0"],
        "note": [image[:4000], b"\4\0\0\0\4\0\0\0\1\0\0\0GNU\0abcd"],
        "certificate": _certificates(image),
        "signature": [signed.blob],
        "EFI list": [bytes(16) + (76).to_bytes(4, "little") + bytes(4) + b"\x30\0\0\0" + bytes(48)],
        "modprobe.d": [_RULES],
        "kernel config": [b'CONFIG_MODULES=y\n# CONFIG_X is not set\nCONFIG_S="a"\n'],
        "types": [_small_types()],
        "tar": [tar],
        "cpio": [cpio],
        "inventory": [b'{"schema":"lkm.inventory/1","target":{"release":"6.1","image":{}}}'],
    }


def _certificates(image: bytes) -> list[bytes]:
    at = image.rfind(b"\x30\x82")
    return [image[at:], b"\x30\x82\x01\x00" + bytes(256)]


def _small_types() -> bytes:
    names = b"\0int\0module\0name\0"
    types = (1).to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\4\0\0\0\x20\0\0\1"
    types += (5).to_bytes(4, "little") + (4 << 24 | 1).to_bytes(4, "little") + b"\4\0\0\0"
    types += (12).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4)
    sizes = (0, len(types), len(types), len(names))
    header = b"\x9f\xeb\1\0\x18\0\0\0" + b"".join(size.to_bytes(4, "little") for size in sizes)
    return header + types + names


def _small_archives() -> tuple[bytes, bytes]:
    import tarfile

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("lib/a", "lib/b"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"data"))
    cpio = b""
    for name, mode, data in (
        ("lib", 0o40755, b""),
        ("lib/a", 0o100644, b"x"),
        ("TRAILER!!!", 0, b""),
    ):
        fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        cpio += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        cpio += bytes(-len(cpio) % 4) + data
        cpio += bytes(-len(cpio) % 4)
    return tar.getvalue(), cpio


READERS: dict[str, Reader] = {
    "module": fuzz.read_everything,
    "agent reply": _reply,
    "modprobe message": _modprobe,
    "log": _kmsg,
    "module list": lambda data: proc.parse_modules(data.decode("utf-8", "replace")),
    "uevent": uevent.parse,
    "index": _index,
    "modinfo": modinfo.parse,
    "note": lambda data: list(notes.read(data, "<")),
    "certificate": certificate.split,
    "signature": pkcs7.parse,
    "EFI list": efi.parse_lists,
    "modprobe.d": functools.partial(parse_rules, path="x.conf"),
    "kernel config": lambda data: config.parse(data.decode("utf-8", "replace")),
    "types": _btf,
    "tar": _tar,
    "cpio": _cpio,
    "inventory": inventory.decode,
}


class TooLongError(Exception):
    """A mutant took more than a second of processor time."""


def _too_long(_number: int, _frame: object) -> None:
    raise TooLongError


def run(target: str, originals: list[bytes], chance: random.Random, count: int) -> dict[str, Any]:
    """Read ``count`` mutants; raises what a mutant raised, with the mutant as a note."""
    read, refused, slowest = READERS[target], 0, 0.0
    for _ in range(count):
        data = mutant(chance.choice(originals), chance)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read(data)
        except (LkmError, ConnectionResetError):
            refused += 1
        except BaseException as error:
            error.add_note(f"{target}: {data[:2000]!r}")
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - started)
    return {"mutants": count, "refused": refused, "slowest": round(slowest, 4)}


def main() -> None:
    """Run the targets that are named, or all, under a limit of memory."""
    seed, count, *targets = sys.argv[1:]
    signal.signal(signal.SIGPROF, _too_long)
    seeds = _seeds()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    figures: dict[str, Any] = {}
    for target in targets or READERS:
        chance = random.Random(f"{seed} {target}")
        figures[target] = run(target, seeds[target], chance, int(count))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures[target]["peak MiB"] = peak >> 10
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
