"""Names and numbers that a virtual machine's host and its guest agree on, besides ``wire``."""

AGENT_PORT = "lkm"
"""The name of the virtio-serial port of :mod:`lkm.kernel.guest.agent`."""

MODPROBE_PORT = "lkm.modprobe"
"""The name of the port of :mod:`lkm.kernel.guest.modprobe`."""

MODPROBE_PROGRAM = "/lkm/modprobe"
"""The program that the guest's kernel executes as modprobe."""

MODPROBE_ADDRESS = "\0lkm-modprobe"
"""The abstract socket that this program connects to."""

REQUEST, RESULTS = "request", "results"
"""What the host is told: ``[REQUEST, ARGV]``, answered with ``[NUMBER, [INSERTION, …]]`` (the
fields of ``requests.Insertion``); then ``[RESULTS, NUMBER, [[NAME, RESULT], …]]``, unanswered."""
