from pathlib import Path

import pytest

from lkm.kernel.open import open_kernel
from lkm.operations.running.load_list import Result, configured, load_all
from lkm.tree.root import Root
from tests.support.guest_kmod import make_tree
from tests.support.kernels import KernelFiles


@pytest.fixture(scope="module")
def root(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_tree(kernel, tmp_path_factory.mktemp("boot"))
    folder = root / "etc/modules-load.d"
    folder.mkdir(parents=True)
    (folder / "a.conf").write_text("# first\nimporter\n\n; other\nno_such\ninit_fails\nunix\n")
    (folder / "b.conf").write_text("stp\nimporter\nloop\nexporter\n")
    (root / "etc/modprobe.d").mkdir()
    (root / "etc/modprobe.d/x.conf").write_text("blacklist loop\n")
    return root


def test_configured(root: Path) -> None:
    names = [rule.name for rule in configured(Root(root), "")]
    assert names == ["importer", "no_such", "init_fails", "unix", "stp", "loop", "exporter"]


def test_each_is_reported(root: Path, kernel: KernelFiles) -> None:
    tree = Root(root, kernel.release)
    with open_kernel(f"vm:{kernel.release}") as opened:
        results = {r.name: r for r in load_all(opened, configured(tree, ""), tree)}
        loaded = {module.name for module in opened.modules()}
    assert {name: result.result for name, result in results.items()} == {
        "importer": Result.LOADED,
        "no_such": Result.NOT_FOUND,
        "init_fails": Result.FAILED,
        "unix": Result.BUILTIN,
        "stp": Result.LOADED,
        "loop": Result.BLACKLISTED,
        "exporter": Result.ALREADY_LOADED,
    }
    assert results["init_fails"].failure is not None
    assert results["init_fails"].failure.errno == 19
    assert results["importer"].source == f"{root}/etc/modules-load.d/a.conf:2"
    assert {"importer", "exporter", "stp", "llc"} <= loaded
    assert "loop" not in loaded
