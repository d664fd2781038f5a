"""The first line of each report a kernel makes of itself, and what kind of report it is.

Sources: ``arch/*/mm/fault.c``, ``arch/*/kernel/traps.c``, ``kernel/{panic,watchdog,hung_task}.c``,
``kernel/rcu/tree_stall.h``, ``mm/{kasan,kfence,kmsan}/report.c``, ``lib/ubsan.c``, ``mm/slub.c``,
``kernel/locking/lockdep.c``, ``rust/kernel/lib.rs: panic``.
"""

from __future__ import annotations

import enum
import re


class Kind(enum.Enum):
    """What sort of report it is."""

    OOPS = "oops"
    BUG = "BUG"
    WARNING = "WARNING"
    PANIC = "panic"
    LOCKUP = "lockup"
    SANITIZER = "sanitizer"


# Where two match, the earlier in this list names the kind. Each is tried at a line's first word.
_TITLES: tuple[tuple[Kind, str], ...] = (
    (Kind.PANIC, r"Kernel panic - not syncing"),
    (Kind.SANITIZER, r"(?:BUG: )?(?:KASAN|KCSAN|KFENCE|KMSAN): \w|UBSAN: "),
    (Kind.LOCKUP, r"(?:NMI watchdog: |watchdog: )?BUG: (?:soft lockup|workqueue lockup)"),
    (Kind.LOCKUP, r"(?:NMI watchdog: |watchdog: )?(?:CPU ?\d{1,5}: )?Watchdog (?:CPU:? ?\d{1,5} |"
                  r"detected )(?:hard|Hard) LOCKUP"),
    (Kind.LOCKUP, r"(?:NMI watchdog: |watchdog: )?CPU \d{1,5} (?:detected )?(?:hard|Hard) LOCKUP"),
    (Kind.LOCKUP, r"INFO: task .{1,80}? blocked (?:for more than|in I/O wait)|INFO: task "
                  r".{1,80}? is blocked"),
    (Kind.LOCKUP, r"(?:rcu: )?INFO: \S{1,40} (?:self-)?detected (?:\w{1,12} )?stall"),
    (Kind.LOCKUP, r"sched: DL replenish lagged|NETDEV WATCHDOG: "),
    (Kind.BUG, r"[kK]ernel BUG at |Kernel bug detected|BUG! |Oops - BUG|Kernel BUG ?\["),
    (Kind.BUG, r"\w{1,64}: panicked at |rust_kernel: panicked"),
    (Kind.BUG, r"BUG \S{1,64} \((?:Not tainted|Tainted)"),
    (Kind.BUG, r"(?:usercopy: )?[Kk]ernel memory (?:exposure|overwrite) attempt detected"),
    (Kind.BUG, r"(?:detected )?buffer overflow in \w|detected buffer overflow|Kernel stack is "
               r"corrupted"),
    (Kind.WARNING, r"WARNING: "),
    (Kind.WARNING, r"CFI failure|refcount_t: |list_(?:add|del) (?:corruption|double)|ODEBUG: "),
    (Kind.WARNING, r"INFO: (?:trying to register non-static key|lockdep |possible )"),
    (Kind.WARNING, r"\S{1,40}: page allocation (?:failure|stalls)|irq \d{1,5}: nobody cared"),
    (Kind.WARNING, r"sysfs: cannot create duplicate filename|kobject_add_internal failed for"),
    (Kind.OOPS, r"BUG: (?:[Kk]ernel NULL pointer|[Uu]nable to handle|[Ss]upervisor|user |stack "
                r"guard|"
                r"TASK stack|IRQ stack|#DF stack|scheduling while|sleeping function|Bad page|Bad "
                r"rss|"
                r"spinlock|kernel )"),
    (Kind.OOPS, r"(?:Oops: |traps: )?general protection fault"),
    (Kind.OOPS, r"kernel tried to execute (?:NX-protected|user|non-executable)|Attempt to "
                r"execute user"),
    (Kind.OOPS, r"kernel tried to execute|unable to execute userspace|Unable to handle kernel"),
    (Kind.OOPS, r"CPU \d{1,5}:? Unable to handle kernel|Unhandled (?:fault|kernel "
                r"unaligned|exception)"),
    (Kind.OOPS, r"(?:Internal error: |Unhandled )?(?:Oops|kernel unaligned access)(?: - [\w "
                r"]{1,40})?(?:: |\[#| \[#)"),
    (Kind.OOPS, r"Internal error: |Reserved instruction in kernel code|do_cpu invoked from kernel"),
    (Kind.OOPS, r"(?:invalid opcode|divide error|stack segment|double "
                r"fault|int3|bounds|alignment check|"
                r"invalid TSS|segment not present|coprocessor segment|simd exception|control "
                r"protection|"
                r"illegal operation|specification exception|addressing exception|operation "
                r"exception|"
                r"privileged operation|data exception|fixpoint divide exception|illegal "
                r"instruction)"
                r": [0-9a-f]{4} (?:ilc:\d )?\[#"),
    (Kind.OOPS, r"(?:traps: )?PANIC: (?:double fault|early exception)|SError Interrupt on CPU|"
                r"Bad mode in |Unexpected kernel BRK exception|Missing ENDBR"),
    (Kind.BUG, r"BUG: |unchecked MSR access"),
)  # fmt: skip

_ANY = re.compile("|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(_TITLES)))
# Nothing else begins a title; most lines are turned away at their first word.
_FIRST = re.compile(
    r"(?:Kernel|kernel|BUG|KASAN|KCSAN|KFENCE|KMSAN|UBSAN|NMI|watchdog|Watchdog|CPU|INFO|rcu|sched|"
    r"NETDEV|Oops|WARNING|CFI|refcount_t|list_|ODEBUG|usercopy|detected|buffer|irq|sysfs|kobject_|"
    r"traps|general|Attempt|unable|Unable|Unhandled|Internal|Reserved|do_cpu|invalid|divide|stack|"
    r"double|int3|bounds|alignment|segment|coprocessor|simd|control|illegal|specification|"
    r"addressing|operation|privileged|data|fixpoint|PANIC|SError|Bad|Unexpected|Missing|unchecked)"
)
_LONGEST = 400


def title_kind(text: str) -> Kind | None:
    """Return the kind of report that ``text``, a line without prefix, begins; else ``None``."""
    start = text.lstrip()[:_LONGEST]
    if not _FIRST.match(start) and ": panicked at" not in start and "page allocation" not in start:
        return None
    match = _ANY.match(start)
    if match is None or match.lastgroup is None:
        return None
    return _TITLES[int(match.lastgroup[1:])][0]


_HUNG = re.compile(r"INFO: task (?P<comm>.{1,64}?)(?::(?P<pid>\d{1,10}))? (?:is )?blocked ")


def hung_task(title: str) -> tuple[str, int | None] | None:
    """Return the task that a hung-task report is about: its name and pid."""
    match = _HUNG.match(title)
    if match is None:
        return None
    return match["comm"], int(match["pid"]) if match["pid"] else None
