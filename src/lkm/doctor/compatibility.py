"""How far a module is from a kernel: loads, build it again, change its source, never."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lkm.doctor.case import Case
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.judge import Judgement, judge
from lkm.doctor.target import Target
from lkm.errors import FormatError
from lkm.module.image import ModuleImage


class Distance(enum.Enum):
    """How far a module is from loading on a kernel; the value is the word shown."""

    LOADS = "loads"
    REBUILD = "rebuild"
    SOURCE = "source change"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Cell:
    """One module on one kernel.

    ``errno`` is what the kernel answers to loading it, 0 where it loads; then ``reason`` is empty,
    but for a module the kernel has built in.
    """

    release: str
    distance: Distance
    reason: str = ""
    finding: str = ""
    errno: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One module on every kernel, in the kernels' order."""

    module: str
    path: str
    cells: tuple[Cell, ...]


_NAMES = """
    boot_cpu_data const_pcpu_hot contig_page_data copy_overflow cpu_khz cpu_number current_task
    delayed_work_timer_fn fortify_panic ftrace_likely_update hrtimer_init hrtimer_setup
    init_timer_key jump_label_update kmalloc_caches kmalloc_large kmalloc_order_trace
    kvfree_call_rcu kmem_cache_alloc_trace mcount mem_section node_data node_states numa_node
    nr_cpu_ids
    page_offset_base pcpu_hot phys_base physical_mask preempt_schedule preempt_schedule_notrace
    preempt_count_add preempt_count_sub proc_create_seq_private proc_create_single_data pv_ops
    queue_delayed_work_on queue_work_on mod_delayed_work_on refcount_warn_saturate sme_me_mask
    static_key_disable static_key_enable static_key_slow_dec static_key_slow_inc this_cpu_off
    vmalloc_base vmemmap_base cachemode2protval printk mutex_lock mutex_unlock mutex_trylock
    mutex_lock_interruptible ww_mutex_lock x86_cpu_to_apicid
"""
_NEVER = frozenset(
    {"wrong-machine", "not-elf", "not-relocatable", "no-this-module", "empty-file", "damaged-file",
     "livepatch", "built-in"}
)  # fmt: skip
_SOURCE = frozenset(
    {"unknown-symbol", "gpl-only-symbol", "gpl-and-proprietary", "namespace", "common-symbol",
     "duplicate-symbol", "bad-parameter"}
)  # fmt: skip


# What the kernel's own macros and inline functions stand for: authors do not write these names, and
# a build for another kernel uses those of that kernel.
_MADE_BY_BUILDING = frozenset(_NAMES.split())
_MADE_SO = re.compile(
    r"_|.*(?:_noprof|_trace|_attrs|_state|_key|_on_node)$|(?:rt_|lockdep_|kasan_|kcsan_|kmsan_|ubsan_)"
)


def is_made_by_building(symbol: str) -> bool:
    """Return whether a symbol is one that the kernel's headers put into a module, not its author.

    Such a one that a kernel lacks (``__mutex_init`` on a real-time one) says nothing of the source.
    """
    return symbol in _MADE_BY_BUILDING or bool(_MADE_SO.match(symbol))


def row(path: str, data: bytes, targets: Sequence[Target]) -> Row:
    """Judge one module's file on every target; it is parsed once."""
    try:
        image = ModuleImage.from_bytes(data, path)
        payload = image.payload
    except FormatError as error:
        reason = f"the file cannot be read: expected {error.expected}, found {error.found}"
        cells = [Cell(t.release, Distance.NEVER, reason, "damaged-file") for t in targets]
        return Row(path.rpartition("/")[2], path, tuple(cells))
    found = [_cell(image, payload, target) for target in targets]
    return Row(image.name, path, tuple(found))


def _cell(image: ModuleImage, payload: bytes, target: Target) -> Cell:
    judgement = judge(Case(image, target, payload, verdict_only=True))
    if target.tree is not None and image.name in target.tree.builtin:
        reason = "it is built into that kernel"
        return Cell(target.release, Distance.NEVER, reason, "built-in", judgement.errno)
    return cell_of(judgement, target.release)


def cell_of(judgement: Judgement, release: str) -> Cell:
    """Return the judgement as a cell: the finding that asks for most says what it takes."""
    fatal = [f for f in judgement.findings if f.severity is Severity.FATAL]
    if judgement.decisive is None:
        return Cell(release, Distance.LOADS)
    distance = max((_distance(finding) for finding in fatal), key=_ORDER.index)
    telling = next(finding for finding in fatal if _distance(finding) is distance)
    return Cell(release, distance, telling.cause, telling.name, judgement.errno)


_ORDER = (Distance.LOADS, Distance.REBUILD, Distance.SOURCE, Distance.NEVER)


def _distance(finding: Finding) -> Distance:
    if finding.name in _NEVER:
        return Distance.NEVER
    if finding.name == "unknown-symbol" and is_made_by_building(finding.subject):
        return Distance.REBUILD
    return Distance.SOURCE if finding.name in _SOURCE else Distance.REBUILD
