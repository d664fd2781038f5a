import pytest

from lkm.errors import FormatError
from lkm.kernel.proc import LoadedModule, parse_modules


def test_lines() -> None:
    text = (
        "good 16384 0 - Live 0xffffffffc020e000 (OE)\n"
        "virtio 16384 2 virtio_pci,virtio_console, Live 0x0000000000000000\n"
        "base 4096 1 [permanent], Loading 0xffffffffc0200000 (O+)\n"
        "never 4096 - - Live 0x0\n"
    )
    good, virtio, base, never = parse_modules(text)
    assert good == LoadedModule("good", 16384, 0, (), "Live", 0xFFFFFFFFC020E000, "OE")
    assert virtio.holders == ("virtio_pci", "virtio_console")
    assert (base.holders, base.permanent, base.state, base.taints) == ((), True, "Loading", "O+")
    assert never.refcount is None


@pytest.mark.parametrize("line", ["x", "a b c d e f", "a 1 0 - Live zz"])
def test_refused(line: str) -> None:
    with pytest.raises(FormatError, match="/proc/modules:1"):
        parse_modules(line)
