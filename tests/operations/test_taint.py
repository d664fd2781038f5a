from lkm.kernel.open import open_kernel
from lkm.operations.running import taint
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def test_value() -> None:
    report = taint.of_value(12289)
    assert report.letters == "POE"
    assert [cause.flag.bit for cause in report.causes] == [0, 12, 13]


def test_which_module_set_which_flag(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        assert taint.of_kernel(opened).causes == ()
        opened.load(built("proprietary"))
        opened.load(built("warn"))
        report = taint.of_kernel(opened)
    causes = {cause.flag.letter: cause for cause in report.causes}
    assert list(causes) == ["P", "W", "O", "E"]
    assert causes["P"].modules == ("proprietary",)
    assert causes["O"].modules == ("proprietary", "warn")
    assert any("proprietary" in line for line in causes["P"].log)
    assert any(line.startswith("WARNING: CPU") for line in causes["W"].log)
    assert causes["E"].log == (
        "proprietary: module verification failed: signature and/or required key missing "
        "- tainting kernel",
    )
