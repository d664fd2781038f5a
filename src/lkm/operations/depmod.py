"""Index a tree of modules, as ``depmod`` does."""

from __future__ import annotations

import os

from lkm import files
from lkm.depmod import index as depmod
from lkm.depmod.request import IndexRequest
from lkm.depmod.rules import DIRECTORIES
from lkm.depmod.workers import are_busy, processors
from lkm.record import Record
from lkm.tree.module_files import BUILD_LINKS, module_files

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lkm.depmod.request import IndexOutcome, Progress
    from lkm.depmod.rules import Report


class Order(Record):
    """A depmod command; paths are absolute.

    ``directory`` is the release's module directory, ``output`` where the files go, ``config``
    depmod.d's directories (kmod's own where empty). ``system_map`` or ``symvers`` say which
    symbols the kernel has, for ``report_unknown``.
    """

    directory: str
    release: str
    output: str
    config: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    prefix: str = ""
    warn_twice: bool = False
    report_unknown: bool = False
    system_map: str = ""
    symvers: str = ""
    cached: bool = True


def index(
    order: Order, report: Report, progress: Progress, explain: Callable[[str], None] | None = None
) -> IndexOutcome:
    """Bring the index files up to date; raises ``OSError`` where that cannot be."""
    return depmod.index_tree(_request(order, report), report, progress, explain)


def show(order: Order, report: Report, progress: Progress) -> Iterator[bytes]:
    """Yield the text index files without writing any."""
    return depmod.show_tree(_request(order, report), report, progress)


def _request(order: Order, report: Report) -> IndexRequest:
    workers = processors()
    return IndexRequest(
        directory=order.directory,
        release=order.release,
        output=order.output,
        config=order.config or DIRECTORIES,
        cache=_cache() if order.cached else "",
        workers=workers,
        busy=are_busy(workers),
        warn_twice=order.warn_twice,
        files=order.files,
        prefix=os.fsencode(order.prefix),
        kernel_symbols=_kernel_symbols(order, report),
        check_crcs=bool(order.symvers),
    )


def _cache() -> str:
    try:
        return files.cache_folder("depmod")
    except OSError:  # no home, read-only, another user's: everything is read
        return ""


def _kernel_symbols(order: Order, report: Report) -> dict[bytes, int] | None:
    if not order.symvers and not order.system_map:
        return None
    from lkm.depmod.check import read_symvers, read_system_map  # only for these options

    prefix = os.fsencode(order.prefix)
    if order.symvers:
        symbols = read_symvers(order.symvers, prefix, report)
    else:
        symbols = read_system_map(order.system_map, prefix, report)
    return symbols if order.report_unknown else None


def is_up_to_date(order: Order, report: Report) -> bool:
    """Say whether modules.dep is no older than any module, as ``depmod -A`` judges it."""
    try:
        written = int(os.stat(f"{order.output}/modules.dep").st_mtime)
    except OSError as error:
        place = f"could not fstatat({order.output}, modules.dep)"
        report("ERROR", f"{place}: {error.strerror}")
        return False

    def failed(error: OSError) -> None:
        report("ERROR", f"could not open directory {error.filename}: {error.strerror}")

    found = module_files(order.directory, skip=BUILD_LINKS, follow=True, failed=failed)
    return all(int(entry.stat().st_mtime) <= written for entry in found)
