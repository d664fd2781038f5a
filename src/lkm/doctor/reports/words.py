"""A report in one sentence: what happened, by what the kernel and the processor say."""

from __future__ import annotations

import re

from lkm.doctor.reports import fault
from lkm.doctor.reports.facts import Oops
from lkm.doctor.reports.titles import Kind

_PAGE = 4096
# include/linux/poison.h and mm/slub.c; the value as it fills a 64-bit word
POISON = {
    0x6B6B6B6B6B6B6B6B: "memory that was freed (slab poison POISON_FREE): use after free",
    0x6B6B6B6B: "memory that was freed (slab poison POISON_FREE): use after free",
    0x5A5A5A5A5A5A5A5A: "memory never written (slab poison POISON_INUSE)",
    0xDEAD000000000100: "LIST_POISON1: an entry already taken off its list",
    0xDEAD000000000122: "LIST_POISON2: an entry already taken off its list",
    0xDEAD000000000200: "LIST_POISON2: an entry already taken off its list",
    0xDEAD4EAD00000000: "a spinlock's magic number",
    0xCCCCCCCCCCCCCCCC: "freed init memory (POISON_FREE_INITMEM)",
}

# Sentences of checks in the kernel, by what their message begins with or holds.
_CHECKS: tuple[tuple[str, str], ...] = (
    (r"refcount_t: underflow", "a reference was dropped too often (refcount underflow): use "
                               "after free"),
    (r"refcount_t: addition on 0", "a reference was taken on an object already freed (refcount "
                                   "was 0)"),
    (r"refcount_t: saturated", "a reference count ran over and was frozen: references leak"),
    (r"refcount_t: decrement hit 0", "a reference count fell to 0 where it must not: the object "
                                     "leaks"),
    (r"refcount_t: ", "a reference count is wrong"),
    (r"list_add (?:corruption|double)", "a linked list was found corrupt when an entry was "
                                        "added: added "
     "twice, or memory was overwritten or freed"),
    (r"list_del corruption", "a linked list was found corrupt when an entry was removed: removed "
                             "twice, "
     "or memory was overwritten or freed"),
    (r"CFI failure", "an indirect call went to a function of another type than the caller's "
                     "pointer has "
     "(control-flow integrity, CFI): the prototypes differ, or the pointer is corrupt"),
    (r"[Mm]issing ENDBR|control protection", "an indirect jump landed where none may (IBT, "
                                             "control-flow "
     "integrity): a bad function pointer"),
    (r"panicked at", "Rust code panicked"),
    (r"scheduling while atomic", "the task slept where it must not: with a spinlock held, or in "
                                 "an interrupt"),
    (r"sleeping function called from invalid context", "a function that may sleep was called where "
     "sleeping is forbidden: with a spinlock held, in an interrupt, or with interrupts off"),
    (r"[Kk]ernel memory (?:exposure|overwrite)|usercopy", "a copy to or from user space went "
                                                          "beyond its "
     "object (hardened usercopy)"),
    (r"buffer overflow|field-spanning write", "a copy is larger than the field it goes to "
                                              "(FORTIFY_SOURCE)"),
    (r"[Kk]ernel stack is corrupted|stack-protector", "a function wrote beyond its local variables "
     "(stack protector)"),
    (r"stack guard page|stack overflow|double fault", "the kernel stack ran over: too deep a "
                                                      "recursion, or "
     "too large local variables"),
    (r"Bad page state|Bad page map|Bad rss|bad pte", "the memory management found its data "
                                                     "corrupt: memory "
     "was freed twice or overwritten, or the hardware is at fault"),
    (r"circular locking|recursive locking|inconsistent lock|irq lock inversion|bad unlock|"
     r"lock held when returning|suspicious RCU|invalid wait context|non-static key",
     "the lock checker (lockdep) found a use of locks that can end in a deadlock; nothing crashed"),
    (r"page allocation (?:failure|stalls)", "the kernel found no free memory of the size asked "
                                            "for; the "
     "caller has to cope with that"),
    (r"sysfs: cannot create duplicate", "something was registered under a name that is taken: "
                                        "registered "
     "twice, or not removed by the one before"),
    (r"kobject_add_internal failed", "an object could not be registered: its name is taken, or "
                                     "its parent gone"),
    (r"ODEBUG", "an object was freed, or initialised again, while still in use (timer, work, …)"),
    (r"nobody cared", "an interrupt came that no driver took for its own; it was switched off"),
    (r"NETDEV WATCHDOG", "a network card did not send for too long; its driver resets it"),
    (r"BUG \S{1,64} \([^\n]{0,200}(?:Redzone|Padding)", "memory beyond an "
     "object's end was overwritten (SLUB's red zone)"),
    (r"BUG \S{1,64} \([^\n]{0,200}Poison",
     "freed memory was written to (SLUB's poison): use after free"),
    (r"BUG \S{1,64} \([^\n]{0,200}already free", "an object was freed twice"),
    (r"BUG \S{1,64} \([^\n]{0,200}[Oo]bjects remaining",
     "a cache was destroyed with objects still in use: they leak"),
    (r"BUG \S{1,64} \(", "the slab allocator found an object corrupt"),
    (r"Bad mode in|SError|[Aa]synchronous [Ee]xternal|external abort", fault.ABORT),
    (r"unchecked MSR access", "a model-specific register that this processor lacks was accessed; "
                              "it went on"),
    (r"divide error|fixpoint divide", "a division by zero"),
    (r"irq_desc|spinlock", "a spinlock was used wrongly: never initialised, freed, or held too "
                           "long"),
    (r"workqueue lockup", "a worker made no progress: some work keeps its processor busy"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _CHECKS)

_KASAN = {
    "use-after-free": "memory was used after it was freed (use after free)",
    "slab-use-after-free": "memory was used after it was freed (use after free)",
    "double-free": "memory was freed twice",
    "invalid-free": "something was freed that is no allocated object",
    "slab-out-of-bounds": "memory beyond the end of an allocated object was used",
    "out-of-bounds": "memory beyond the end of an object was used",
    "stack-out-of-bounds": "memory beyond a local variable was used",
    "global-out-of-bounds": "memory beyond a global variable was used",
    "vmalloc-out-of-bounds": "memory beyond a vmalloc area was used",
    "use-after-scope": "a local variable was used after its block had ended",
    "null-ptr-deref": "a pointer was NULL",
    "wild-memory-access": "a pointer points nowhere",
    "user-memory-access": "a user-space address was used as if it were the kernel's",
    "memory corruption": "memory around an object was overwritten",
    "invalid read": "memory was read that is none of an object's",
    "invalid write": "memory was written that is none of an object's",
    "uninit-value": "memory was used that was never written",
    "kernel-infoleak": "memory that was never written went to user space",
    "data-race": "two tasks used the same memory at once, one of them writing, without a lock",
    "invalid free": "something was freed that is no allocated object",
}
_UBSAN = {
    "array-index-out-of-bounds": "an index lies beyond an array",
    "shift-out-of-bounds": "a value was shifted by more bits than it has, or by a negative number",
    "signed-integer-overflow": "a signed number ran over",
    "unsigned-integer-overflow": "a number ran over",
    "division-overflow": "a division by zero, or one that runs over",
    "invalid-load": "a bool or an enum holds a value it cannot have",
    "misaligned-access": "an address is not aligned as its type wants",
    "null-ptr-deref": "a pointer was NULL",
    "object-size-mismatch": "an object is smaller than its type",
    "unreachable": "code was reached that the compiler took for unreachable",
}


def in_words(oops: Oops) -> str:
    """Return one sentence that says what happened."""
    if oops.kind is Kind.SANITIZER:
        return _sanitizer(oops)
    if oops.kind is Kind.PANIC:
        return _panic(oops)
    if oops.kind is Kind.LOCKUP:
        return _lockup(oops)
    if known := _check(oops):
        return known
    if oops.kind is Kind.WARNING:
        return f"the kernel warned{_at(oops)}: a condition it did not expect; it went on"
    if oops.kind is Kind.BUG and "BUG" in oops.title[:40] and oops.source:
        return f"the code stopped itself: BUG(){_at(oops)}; the task was killed"
    return _fault(oops)


def _all(oops: Oops) -> tuple[str, ...]:
    return (oops.title, *oops.details)


def _check(oops: Oops) -> str:
    for text in _all(oops):
        for pattern, words in _COMPILED:
            if pattern.search(text[:400]):
                end = f": {_panic_message(oops)}" if "panicked" in text else ""
                went_on = "; it went on" if oops.kind is Kind.WARNING else ""
                return f"{words}{end}{_of_source(oops, went_on)}"
    return ""


def _of_source(oops: Oops, went_on: str) -> str:
    return (f", seen{_at(oops)}" if oops.source else "") + went_on


def _panic_message(oops: Oops) -> str:
    texts = _all(oops)
    at = next(i for i, text in enumerate(texts) if "panicked at" in text)
    after = texts[at].partition("panicked at ")[2]
    if after.startswith("'"):
        return after
    message = next((t for t in texts[at + 1 :] if not t.startswith(("kernel BUG", "Oops"))), "")
    return f"{message} ({after.rstrip(':')})" if message else after


def _sanitizer(oops: Oops) -> str:
    for text in _all(oops):
        for name, words in _UBSAN.items() if "UBSAN" in text else ():
            if name in text:
                detail = next((t for t in oops.details if not t.startswith(("Tainted", "CPU"))), "")
                more = f" ({detail})" if detail else ""
                return f"{words}{more}{_at(oops)}; a warning: the kernel went on"
        found = [name for name in _KASAN if name in text]
        if found and any(tool in text for tool in ("KASAN", "KFENCE", "KMSAN", "KCSAN")):
            where = next((t for t in oops.details if "located" in t or "bytes inside" in t), "")
            more = f": {where}" if where else ""
            return f"{_access_words(oops)}{_KASAN[max(found, key=len)]}{more}"
    return oops.title


def _access_words(oops: Oops) -> str:
    text = next((t for t in oops.details if t.startswith(("Read of", "Write of"))), "")
    return f"{text.split(' at addr')[0].lower()}: " if text else ""


_PANICS = (
    ("Unable to mount root", "the root file system could not be mounted: its driver is not in the "
     "initramfs, or root= names the wrong device"),
    ("No working init", "no init program could be started from the root file system"),
    ("Attempted to kill init", "the first process, init, ended or was killed"),
    ("Attempted to kill the idle", "a processor's idle task crashed"),
    ("Out of memory", "memory was used up"),
    ("hung_task", "a task made no progress for too long, and the kernel was told to stop then"),
    ("hard LOCKUP", "a processor took no interrupts for too long"),
    ("softlockup", "a processor did not schedule for too long, and the kernel was told to stop "
                   "then"),
    ("RCU Stall", "a processor held up RCU for too long, and the kernel was told to stop then"),
    ("stack-protector", "a function wrote beyond its local variables (stack protector)"),
    ("panic_on_warn", "the kernel was told to stop at any warning"),
    ("UBSAN", "the kernel was told to stop at any finding of UBSAN"),
    ("machine check", "the processor reported a hardware error"),
    ("Fatal exception in interrupt", "it crashed in an interrupt (the report before says where)"),
    ("Fatal exception", "it crashed (the report before says where)"),
    ("Fatal hardware error", "the hardware reported a fatal error"),
    ("NMI: Not continuing", "the hardware raised a non-maskable interrupt: a hardware error"),
    ("SError", "the bus, or the device behind it, answered with an error"),
)  # fmt: skip


def _panic(oops: Oops) -> str:
    message = oops.title.partition(": ")[2]
    known = next((words for start, words in _PANICS if start.lower() in message.lower()), "")
    return f"the kernel stopped for good: {message}" + (f": {known}" if known else "")


_SECONDS = re.compile(r"(?:for|stuck for) (?:more than )?(?P<s>\d{1,8}) ?s")


def _lockup(oops: Oops) -> str:
    title = oops.title
    match = _SECONDS.search(title[:400])
    time = f" for {match['s']} s" if match else " for too long"
    if "blocked" in title:
        lock = " on I/O" if "I/O" in title else ""
        return (
            f"the task {oops.comm} waited{time}{lock} without waking up (state D): for a lock, a "
            f"device "
            "or a server that does not answer; nothing crashed"
        )
    if "soft lockup" in title:
        return f"a processor ran kernel code{time} without letting another task run (soft lockup)"
    if "ockup" in title.lower() and "workqueue" not in title:
        return f"a processor took no interrupts{time} (hard lockup): it spins with interrupts off"
    if "stall" in title:
        who = "one of the processors or tasks" if "self" not in title else "a processor"
        return (
            f"{who} held up RCU for too long (stall): it ran kernel code without a pause, or hangs"
        )
    return _check(oops) or "a processor or task made no progress for too long"


def _at(oops: Oops) -> str:
    return f" at {oops.source}" if oops.source else ""


def _fault(oops: Oops) -> str:
    said = " ".join(_all(oops))[:4000]
    address = oops.fault_address
    if "NX-protected" in said or (oops.access == fault.EXECUTE and address is not None):
        where = f" at {address:#x}" if address else " 0" if address == 0 else ""
        return (
            f"the processor jumped to execute data or nothing{where}: a bad function pointer, or "
            f"freed code"
            if address
            else f"jumped to address 0: a function pointer was NULL{_because(oops)}"
            if address == 0
            else "the processor was sent to execute data: a bad function pointer, or freed code"
        )
    if "KASAN: null-ptr" in said and address is not None:
        return _null_pointer(oops, address)
    if "general protection" in said:
        return "an address that cannot exist was used, or a privileged thing done" + _poisoned(oops)
    if "SMAP" in said or ("permissions violation" in said and address and address < 1 << 47):
        return (
            f"{_verb(oops)} {address:#x}, an address of user space, other than by copy_from_user()"
        )
    if address is not None and (oops.access or "NULL" in said or "handle" in said):
        if address < _PAGE and oops.machine != "s390x":
            return _null_pointer(oops, address)
        if address < _PAGE:
            return f"{_verb(oops)} the first page: a pointer was NULL"
        return f"{_verb(oops)} {address:#x}, {_because_of(oops)}{_poisoned(oops)}"
    if oops.causes:
        return "; ".join(oops.causes)
    if "invalid opcode" in said or "undefined instruction" in said or "llegal instruction" in said:
        return "an instruction the processor does not know, or the one that BUG() leaves" + _at(
            oops
        )
    return oops.title


def _because_of(oops: Oops) -> str:
    known = [cause for cause in oops.causes if cause != fault.UNMAPPED]
    return "; ".join(known) if known else "where no memory is mapped"


def _because(oops: Oops) -> str:
    known = [cause for cause in oops.causes if cause != fault.UNMAPPED]
    return f" ({'; '.join(known)})" if known else ""


def _null_pointer(oops: Oops, address: int) -> str:
    if address == 0:
        return f"{_verb(oops)} address 0: a pointer was NULL"
    member = (
        "a member at offset" if oops.machine in ("", "x86-64", "i386") else "the member at byte"
    )
    return (
        f"{_verb(oops)} {address:#x}: {member} {address:#x} of a structure whose pointer was NULL"
    )


def _verb(oops: Oops) -> str:
    return {fault.EXECUTE: "jumped to", fault.WRITE: "wrote to", fault.READ: "read from"}.get(
        oops.access, "used"
    )


def _poisoned(oops: Oops) -> str:
    for _name, value in oops.registers:
        if value in POISON:
            return f"; a register holds {POISON[value]}"
    address = oops.fault_address or 0
    for poison, words in POISON.items():
        if poison > _PAGE and 0 <= address - poison < 0x200 and "list" in words:
            return f"; the address is {words}"
    return ""
