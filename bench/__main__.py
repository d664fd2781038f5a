"""``python -m bench [AREA …]``: run the measurements and write bench/RESULTS.md."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from bench.common import Row
from lkm import files

FOLDER = Path(__file__).parent


def areas() -> list[str]:
    return sorted(
        path.stem
        for path in FOLDER.glob("*.py")
        if path.stem not in {"__init__", "__main__", "common"}
    )


def table(title: str, rows: list[Row]) -> str:
    lines = [
        f"## {title}",
        "",
        "| what | ours | peer | ours / peer | aim | met | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peer = f"{row.peer:.4g} {row.unit}" if row.peer is not None else "–"
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else "–"
        met = "yes" if row.met else "**no**"
        lines.append(
            f"| {row.name} | {row.ours:.4g} {row.unit} | {peer} | {ratio} | {row.target} | {met} "
            f"| {row.note} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    # Start-up is measured as an installation has it: with its compiled files kept.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parts = [
        "# Results of `make bench`",
        "",
        f"{datetime.date.today()}, {platform.machine()}, {len(os.sched_getaffinity(0))} CPUs, "
        f"Python {platform.python_version()}. Medians; a peer is measured in the same run, in turn "
        "with ours.",
        "",
    ]
    if arguments:
        for area in arguments:
            print(f"{area} …", file=sys.stderr, flush=True)
            print(table(area, importlib.import_module(f"bench.{area}").measure()), flush=True)
        return 0
    for area in areas():
        # In a process of its own: a child's peak memory is never told as less than its parent's.
        command = [sys.executable, "-m", "bench", area]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        print(text, end="", flush=True)
        parts.append(text.rstrip("\n") + "\n")
    files.write_atomic(FOLDER / "RESULTS.md", "\n".join(parts).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
