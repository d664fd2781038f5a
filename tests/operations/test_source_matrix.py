"""The matrix of source: built and loaded on kernels, and its reports."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkm.cli.main import run
from lkm.doctor.compatibility import is_made_by_building
from lkm.operations import source_matrix
from lkm.operations.source_matrix import SourceMatrixRequest, SourceOutcome
from tests.support.kernels import kernel_files

RELEASE = kernel_files().release
GOOD = """#include <linux/module.h>
static int __init start(void) { return 0; }
static void __exit stop(void) { }
module_init(start); module_exit(stop); MODULE_LICENSE("GPL");
"""


def _source(folder: Path, name: str, text: str) -> str:
    path = folder / name / f"{name}.c"
    path.parent.mkdir()
    path.write_text(text)
    return str(path.parent)


def test_reports_of_source_that_loads_and_source_that_does_not_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [
        _source(tmp_path, "fine", GOOD),
        _source(tmp_path, "old", GOOD.replace("return 0", "do_gettimeofday(NULL); return 0")),
    ]
    reports = {kind: tmp_path / f"report.{kind}" for kind in ("junit", "sarif", "markdown")}
    options = [word for kind, path in reports.items() for word in (f"--{kind}", str(path))]
    status = run(["lkm", "matrix", *sources, "--kernels", RELEASE, *options, "--json"])
    assert status == 1
    fine, old = json.loads(capsys.readouterr().out)["source"]
    assert [fine["cells"][0]["outcome"], fine["cells"][0]["modules"]] == ["loads", ["fine"]]
    (cell,) = old["cells"]
    assert cell["outcome"] == "does not build"
    assert (cell["file"], cell["line"]) == (f"{sources[1]}/old.c", 2)
    assert "do_gettimeofday since Linux 5.0" in cell["why"]
    assert cell["decisive"].startswith(f"{sources[1]}/old.c:2:")

    suites = ElementTree.parse(reports["junit"]).getroot()
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    failure = suites.find(".//failure")
    assert failure is not None
    assert "old.c:2" in str(failure.text)
    (result,) = json.loads(reports["sarif"].read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}
    assert f"| {sources[0]} | {RELEASE} | loads |  |" in reports["markdown"].read_text()


def test_only_built(tmp_path: Path) -> None:
    known = source_matrix.kernels_for_source([RELEASE])
    (row,) = source_matrix.source_matrix(
        [_source(tmp_path, "fine", GOOD)], known, SourceMatrixRequest(only_build=True)
    )
    assert row.cells[0].outcome is SourceOutcome.BUILDS


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_fits_the_columns(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    run(["lkm", "matrix", "loop", "dummy", "--kernels", "all"])
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert max(map(len, lines[:4])) <= columns


def test_names_that_authors_do_not_write() -> None:
    made = ("__mutex_init", "_printk", "kmalloc_trace", "__kmalloc_cache_noprof", "init_timer_key")
    assert all(map(is_made_by_building, made))
    written = ("kallsyms_lookup_name", "register_sysctl_table", "proc_create", "class_create")
    assert not any(map(is_made_by_building, written))
