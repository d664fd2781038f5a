"""A client for QEMU's machine protocol, as small as a snapshot needs.

The ``qemu.qmp`` package does all of the protocol on asyncio; importing that takes longer than
restoring a machine.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from lkm.errors import ToolError

_LARGEST_LINE = 1 << 20


class QmpClient:
    """Commands and their results over a connected socket; events are passed over."""

    def __init__(self, connection: socket.socket, *, limit: float = 20.0) -> None:
        connection.settimeout(limit)
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._message()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its result; ToolError when QEMU refuses or is gone."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise ToolError(f"QEMU went away before {command}") from error
        return self._result(command)

    def _result(self, command: str) -> Any:
        while True:
            message = self._message()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise ToolError(f"QEMU refused {command}: {message['error'].get('desc', '')}")

    def pass_descriptor(self, name: str, descriptor: int) -> None:
        """Give QEMU an open file under a name."""
        request = {"execute": "getfd", "arguments": {"fdname": name}}
        socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [descriptor])
        self._result("getfd")

    def wait_for_migration(self, *, limit: float) -> None:
        """Wait until a migration has completed; ToolError when it fails or takes too long."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            state = self.execute("query-migrate")
            if state.get("status") == "completed":
                return
            if state.get("status") in ("failed", "cancelled"):
                break
            time.sleep(0.005)
        raise ToolError(f"QEMU did not save or restore the machine: {state.get('status')}")

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        try:
            line = self._lines.readline(_LARGEST_LINE)
            message = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise ToolError(f"QEMU's answer cannot be read: {error}") from error
        if not isinstance(message, dict):
            raise ToolError("QEMU went away")
        return message
