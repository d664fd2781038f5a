from itertools import islice

from lkm.kernel.log import LogRecord
from lkm.kernel.open import open_kernel
from lkm.operations.running.follow import follow, mentions, select
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def test_mentions() -> None:
    for text in ("snd_hda: x", "RIP: 0010:f+0x1/0x2 [snd_hda]", "snd-hda broke"):
        assert mentions(LogRecord(text), "snd_hda")
    for text in ("snd_hda_intel: x", "xsnd_hda", "other"):
        assert not mentions(LogRecord(text), "snd-hda")


def test_what_comes(kernel: KernelFiles) -> None:
    with open_kernel(f"emulated:{kernel.release}") as opened:
        stream = follow(opened)
        before = next(stream)
        assert before[0].text.startswith("Linux version")
        assert next(stream) == ()
        opened.load(built("hello"))
        new = next(record for records in islice(stream, 5) if records for record in [records])
        assert new[0].sequence == before[-1].sequence + 1
        assert list(select(new, module="hello"))
        assert list(select(new, level=0)) == []
        stream.close()
