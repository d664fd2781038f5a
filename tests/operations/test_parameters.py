import pytest

from lkm.errors import NotFoundError
from lkm.kernel.open import open_kernel
from lkm.operations.running.parameters import Setting, parameters
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def test_loaded_module(kernel: KernelFiles) -> None:
    line = "params.an_int=77 params.hidden=1"
    with open_kernel(f"vm:{kernel.release}", command_line=line) as opened:
        opened.load(built("params"))
        found = {parameter.name: parameter for parameter in parameters(opened, "params")}
        with pytest.raises(NotFoundError):
            parameters(opened, "no_such_module")
    assert found["an_int"].value == "-4"
    assert found["an_int"].permission == 0o644
    assert found["an_int"].settings == (Setting("77", "/proc/cmdline"),)
    assert found["a_uint"].permission == 0o600
    assert "hidden" not in found


def test_built_in_module(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        found = {parameter.name: parameter for parameter in parameters(opened, "printk")}
    assert found["time"].value == "Y"
