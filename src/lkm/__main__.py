"""``python -m lkm``, the ``lkm`` command, and kmod's names through symlinks."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and return its exit status, or leave with it at once."""
    from lkm.cli.main import run  # after the interpreter is up: keeps `import lkm` light

    status = run(sys.argv)
    if sys.modules.keys().isdisjoint(("atexit", "threading")):
        # Nobody has asked for anything to be done in the end, so that the interpreter need not
        # take itself apart, which takes it 2 ms: 5 % of what the shortest commands take.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return status  # it will fail to flush them, too, and say so
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
