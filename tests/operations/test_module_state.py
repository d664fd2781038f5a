import pytest

from lkm.errors import NotFoundError
from lkm.kernel.open import open_kernel
from lkm.operations.running.module_state import read_state
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def test_life_of_a_module(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        opened.load(built("exporter"))
        opened.load(built("importer"))
        opened.load(built("params"), "an_int=6")
        exporter = read_state(opened, "exporter")
        importer = read_state(opened, "importer")
        params = read_state(opened, "params")
        builtin = read_state(opened, "kernel")
        with pytest.raises(NotFoundError, match="no_such_module"):
            read_state(opened, "no_such_module")
    assert (exporter.state, exporter.refcount, exporter.holders) == ("live", 1, ("importer",))
    assert importer.depends_on == ("exporter",)
    assert exporter.init_freed
    assert [flag.letter for flag in exporter.taints] == ["O", "E"]
    sections = dict(exporter.sections)
    assert exporter.address <= sections["__ksymtab"] < exporter.address + exporter.core_size
    assert dict(params.parameters)["an_int"] == "6"
    assert builtin.state == "builtin"
