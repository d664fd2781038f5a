from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.operations.running.unload import Obstacle, unload
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def _obstacle(kernel: Kernel, name: str) -> Obstacle | None:
    problem = unload(kernel, name)
    return problem.obstacle if problem else None


def test_what_keeps_a_module(kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        for name in ("exporter", "importer", "busy", "no_exit"):
            opened.load(built(name))
        opened.set_parameter("busy", "held", True)
        held = unload(opened, "exporter")
        assert held is not None
        assert (held.obstacle, held.holders) == (Obstacle.HELD, ("importer",))
        assert _obstacle(opened, "busy") is Obstacle.IN_USE
        assert _obstacle(opened, "printk") is Obstacle.BUILTIN
        assert _obstacle(opened, "no-such-module") is Obstacle.NOT_LOADED
        assert _obstacle(opened, "no_exit") is Obstacle.REFUSED
        assert unload(opened, "no_exit", force=True) is None
        assert _obstacle(opened, "importer") is None
        assert _obstacle(opened, "exporter") is None
