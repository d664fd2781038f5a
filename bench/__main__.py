"""``python -m bench [AREA …]``: run the measurements and write bench/RESULTS.md."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
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
    for area in arguments or areas():
        print(f"{area} …", file=sys.stderr, flush=True)
        rows = importlib.import_module(f"bench.{area}").measure()
        text = table(area, rows)
        print(text, flush=True)
        parts.append(text)
    if not arguments:
        files.write_atomic(FOLDER / "RESULTS.md", "\n".join(parts).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
