"""What each view is expected to show; by view: an address, and a test id that then has content."""

from __future__ import annotations

SHOWS = {
    "start": ("start", "state"),
    "life": ("life", "stages"),
    "way": ("way?choice=unsigned", "actual"),
    "memory": ("memory", "relocation"),
    "option": ("option", "option"),
    "needs": ("needs?module=btrfs", "sum"),
    "rules": ("rules", "meanings"),
    "signing": ("signing", "matrix"),
    "taint": ("taint?choice=E", "causes"),
    "play": ("play?choice=overflow", "marks"),
}
