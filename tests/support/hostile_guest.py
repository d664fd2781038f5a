"""A guest that answers what it likes: the other ends of a machine's channels, and odd replies."""

from __future__ import annotations

import random
import socket
from typing import Any

from lkm.kernel.vm import replies
from lkm.kernel.vm.output import Output

CALLS = tuple(replies._REPLIES)

_DEEP: Any = 1
for _ in range(200):
    _DEEP = [_DEEP]

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1 << 31, 1 << 64, 10**30, "", "x", "\x1b[2J", "\ud800", "x" * 100_000),
    *(b"", b"x", [], [[]], [None], ["x"], [b"x"], [1, 2, 3], [1, 2, 3, 4, 5, 6], {}, {"a": 1}),
    *([0, 0, 0], [0, 99999, 0], [0, 0, -9], [b"", b"", 1000], [1, 2, 3, 4, [5], 6], _DEEP),
    *([1, 2, 3, 4, [5, 1 << 40], 6], [{"errno": "x"}], [{"value": 1}] * 3),
)


class GuestProcess:
    """What a ``Connection`` needs of a QEMU process; the guest's ends are a test's."""

    def __init__(self) -> None:
        self.agent, self.agent_end = socket.socketpair()
        self.modprobe, self.modprobe_end = socket.socketpair()
        ours, self.console_end = socket.socketpair()
        self.console = Output(ours)
        self.ended = False

    @property
    def qmp(self) -> Any:
        raise OSError("there is no QEMU")

    def wait(self, _limit: float) -> bool:
        return True

    def messages(self) -> str:
        return ""

    def end(self) -> None:
        self.ended = True
        self.console.close()
        self.agent.close()
        self.modprobe.close()

    def close(self) -> None:
        self.end()
        for end in (self.agent_end, self.modprobe_end, self.console_end):
            end.close()


def odd_reply(chance: random.Random) -> Any:
    """Return a reply that no agent gives."""
    shapes: tuple[Any, ...] = (
        chance.choice(ODD_VALUES[:-9]) if chance.random() < 0.3 else [chance.choice(ODD_VALUES)],
        {"value": chance.choice(ODD_VALUES), "more": 1},
        {"errno": chance.choice((-1, 4096, 10**40, "2", None, 1.5, True))},
        {"failure": chance.choice((1, None, ["x"]))},
        {"errno": 2, "file": chance.choice((1, None, b"x", "x" * 100_000))},
        {chance.choice(("Value", "error", "")): 1},
    )
    return chance.choice(shapes)
