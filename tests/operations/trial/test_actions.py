"""Doing more with a loaded module: ioctl, mount, programs."""

from __future__ import annotations

from lkm.operations.trial import events
from lkm.operations.trial.request import Action
from tests.support.modules import built
from tests.support.trying import attempt


def test_ioctl_and_programs() -> None:
    told = attempt("loop", "max_loop=1", actions=(
        Action("ioctl", "/dev/loop0", "0x4C05,hex:" + "00" * 232),  # LOOP_GET_STATUS64: ENXIO
        Action("ioctl", "/dev/loop0", "0x80081272,hex:" + "ff" * 8),  # BLKGETSIZE64
        Action("ioctl", "/dev/loop0", "nonsense"),
        Action("run", "true"),
    ))  # fmt: skip
    status, size, wrong, program = told.all(events.Acted)
    assert status.error == "No such device or address (ENXIO)"
    assert size.value.endswith("→ " + "00" * 8)
    assert "is no ioctl" in wrong.error
    assert "runs no programs" in program.error


def test_mount() -> None:
    told = attempt(built("hello"), actions=(
        Action("mount", "proc"), Action("mount", "nosuchfs"),
    ))  # fmt: skip
    mounted, refused = told.all(events.Acted)
    assert {"modules", "cmdline"} <= set(mounted.value.split())
    assert "ENODEV" in refused.error
    assert told.one(events.Unloaded).module == "hello"
