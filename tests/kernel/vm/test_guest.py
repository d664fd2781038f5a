"""What goes into the guest, held against the tools that know."""

import subprocess
import sys
from pathlib import Path

from lkm.kernel.vm import guest
from tests.support.kernels import KernelFiles


def test_agent_sources_are_all_of_ours_it_imports() -> None:
    package = Path(guest.__file__).parents[2]
    code = (
        "import lkm.kernel.guest.agent, sys\n"
        "print('\\n'.join(m.__file__ for n, m in sys.modules.items() if n.startswith('lkm')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {str(Path(line).relative_to(package)) for line in done.stdout.split()}
    assert imported == set(guest.AGENT_SOURCES)


def test_module_closure_is_in_load_order(kernel: KernelFiles) -> None:
    paths = guest.module_closure(kernel.modules, ["virtio_pci", "virtio_console"])
    seen: set[str] = set()
    for path in paths:
        depends = subprocess.run(
            ["modinfo", "-F", "depends", path], capture_output=True, text=True, check=True
        ).stdout
        assert set(depends.strip().split(",")) - {""} <= seen
        seen.add(path.stem)
    assert {"virtio_pci", "virtio_console"} <= seen
    assert guest.module_closure(kernel.modules, ["no_such_module"]) == []


def test_initramfs_is_a_cpio_archive(kernel: KernelFiles) -> None:
    archive = guest.initramfs(kernel.modules)
    listing = subprocess.run(
        ["cpio", "-t", "--quiet"], input=archive, capture_output=True, check=True
    ).stdout.decode()
    names = set(listing.split())
    assert {"init", "dev/console", "lkm/modules.list", "lkm/virtio_pci.ko"} <= names
    assert guest.interpreter().lstrip("/") in names
