"""The matrix of modules and kernels, by prediction, tried, and on a cluster."""

from __future__ import annotations

import importlib
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lkm.cli.commands.matrix import command
from lkm.doctor.compatibility import Distance
from lkm.operations import matrix as operation
from lkm.operations.matrix_confirm import confirm
from tests.support.kernels import kernel_files
from tests.support.modules import built

RELEASE = kernel_files().release
OTHERS = ("6.1.0-47-amd64", f"{RELEASE.removesuffix('amd64')}cloud-amd64", "6.12")


def files(*names: str) -> list[str]:
    return [str(built(name)) for name in names]


def test_a_module_loads_on_its_own_kernel_and_must_be_rebuilt_for_others() -> None:
    known = operation.kernels_named([RELEASE, OTHERS[0]])
    found = operation.matrix(files("hello"), known)
    by_release = dict(zip(found.releases, found.rows[0].cells, strict=True))
    assert by_release.pop(RELEASE).distance is Distance.LOADS
    assert {cell.distance for cell in by_release.values()} == {Distance.REBUILD}
    assert all(cell.reason and cell.errno for cell in by_release.values())


def test_modules_asked_about_together_or_beside_each_other_count(tmp_path: Path) -> None:
    known = operation.kernels_named([RELEASE])
    importer, exporter = files("importer", "exporter")
    away = str(shutil.copy(importer, tmp_path))
    alone = operation.matrix([away], known)
    assert alone.rows[0].cells[0].finding == "unknown-symbol"
    together = operation.matrix([away, exporter], known)
    assert [row.cells[0].distance for row in together.rows] == [Distance.LOADS] * 2
    shutil.copy(exporter, tmp_path)
    assert operation.matrix([away], known).rows[0].cells[0].distance is Distance.LOADS


def test_what_is_not_a_module_loads_nowhere(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "text.ko"
    path.write_text("no module")
    found = operation.matrix([str(path)], operation.kernels_named([RELEASE]))
    assert found.rows[0].cells[0].distance is Distance.NEVER


def test_prediction_equals_the_emulated_kernels() -> None:
    """Some of every kind: our own and this kernel's modules on an older ABI and its own kernel."""
    tree = sorted(str(path) for path in kernel_files().modules.rglob("*.ko"))
    sample = random.Random(5).sample(tree, 6)
    known = operation.kernels_named([RELEASE, OTHERS[0]])
    found = operation.matrix([*files("hello", "unknown_symbol", "proprietary"), *sample], known)
    trials = confirm(found, known)
    assert len(trials) == 2 * len(found.rows)
    assert [trial for trial in trials if trial.agrees is False] == []
    assert sum(trial.agrees is True for trial in trials) >= len(trials) * 0.7


@pytest.mark.full
@pytest.mark.parametrize("release", [*OTHERS, "5.10", "7"])
def test_a_hundred_modules_on_another_kernel(release: str) -> None:
    """This kernel's modules on another ABI, flavour or version: the emulated kernel's verdict."""
    tree = sorted(str(path) for path in kernel_files().modules.rglob("*.ko"))
    sample = random.Random(release).sample(tree, 100)
    known = operation.kernels_named([release])
    trials = confirm(operation.matrix(sample, known), known)
    assert [trial for trial in trials if trial.agrees is False] == []
    assert sum(trial.agrees is True for trial in trials) >= 90


def test_a_cluster_gives_the_same() -> None:
    distributed = importlib.import_module("distributed")
    paths = files("hello", "importer", "exporter", "params")
    known = operation.kernels_named([RELEASE, OTHERS[0]])
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        found = operation.matrix(paths, known, scheduler=cluster.scheduler_address)
    assert found == operation.matrix(paths, known)


def test_the_command_says_it_in_a_table() -> None:
    result = CliRunner().invoke(
        command, [*files("hello"), "--kernels", RELEASE], standalone_mode=False
    )
    assert result.return_value == 0
    assert result.output.splitlines()[1].split() == ["hello", "loads"]
