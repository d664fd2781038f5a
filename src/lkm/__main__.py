"""``python -m lkm``, the ``lkm`` command, and kmod's names through symlinks."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    from lkm.cli.main import run  # after the interpreter is up: keeps `import lkm` light

    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
