"""The addresses and struct offsets of a kernel that running it takes, by name.

Everything comes from kallsyms, the exports and BTF; it is kept in the snapshot, so that a restored
machine needs none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkm.errors import NotFoundError, UnsupportedError
from lkm.kernel.emulated.hardware.patches import USER_RETURN

if TYPE_CHECKING:  # only who boots a kernel has its image read
    from lkm.vmlinux.btf import Btf
    from lkm.vmlinux.image import VmlinuxImage

_SYMBOLS = (
    USER_RETURN,
    "entry_SYSCALL_64_after_hwframe",
    "emergency_restart",
    "do_init_module",
    "sprint_symbol",
    "_text",
    "_etext",
)
_PERHAPS = ("text_poke_copy", "machine_power_off", "machine_halt", "machine_restart")
LOG_REWIND, LOG_LINE = "kmsg_dump_rewind", "kmsg_dump_get_line"
_OFFSETS = (
    ("task_struct", "pid"),
    ("task_struct", "comm"),
    ("task_struct", "mm"),
    ("pt_regs", "ax"),
    ("pt_regs", "ip"),
    ("pt_regs", "sp"),
    ("module", "name"),
    ("module", "sect_attrs"),
    ("module_sect_attrs", "grp"),
    ("attribute_group", "bin_attrs"),
    ("bin_attribute", "attr"),
    ("attribute", "name"),
)
_MASK = (1 << 64) - 1
_SIZES = ("pt_regs",)


@dataclass(frozen=True, slots=True)
class KernelLayout:
    """Addresses of symbols, struct offsets (``struct.member``) and sizes (``struct``) in bytes.

    ``current`` is the address of the pointer to the running task, to which the base of the
    processor's own area is to be added where ``per_cpu``, as in all kernels but those for one
    processor only; ``image_base`` is what a virtual address of the kernel image exceeds its
    physical one by, ``image_end`` where the image ends; ``module_text`` are pairs of offsets in
    struct module: of a text area's address and size; ``section_address`` is where a section's
    address is in what its file in sysfs is made of; ``log_iterator`` is what the functions that
    read the log begin with.
    """

    release: str
    banner: str
    symbols: dict[str, int]
    offsets: dict[str, int]
    current: int
    per_cpu: bool
    image_base: int
    image_end: int
    module_text: tuple[tuple[int, int], ...]
    section_address: int
    log_iterator: bytes

    @property
    def user_return(self) -> int:
        """Where a task that returns to user mode stops the machine."""
        return self.symbols[USER_RETURN]

    @property
    def modules_start(self) -> int:
        """The end of the kernel image, above which modules are put."""
        return -(-self.image_end // 0x200000) * 0x200000

    def current_at(self, base: int) -> int:
        """Return the address of the pointer to the running task; ``base`` is the GS base.

        Since 6.15 the variables of a processor have addresses in the kernel image, and the base is
        what its own copy of them is away from there; before, they were offsets from it.
        """
        return (base + self.current) & _MASK if self.per_cpu else self.current


def read(image: VmlinuxImage) -> KernelLayout:
    """Return the layout of a kernel; raises ``UnsupportedError`` for what cannot be emulated."""
    if image.machine != "x86_64":
        raise UnsupportedError(
            f"{image.path} is a kernel for {image.machine}; the emulated machine runs x86_64",
            hint="use --kernel vm, or an amd64 kernel",
        )
    segment = image.elf.segments[0]
    try:
        return KernelLayout(
            release=image.release,
            banner=image.banner,
            symbols={name: image.kallsyms[name] for name in _SYMBOLS}
            | {name: _lockless(image, name) for name in (LOG_REWIND, LOG_LINE)}
            | {name: image.kallsyms[name] for name in _PERHAPS if name in image.kallsyms},
            offsets={
                f"{struct}.{member}": image.btf.offset(struct, member)
                for struct, member in _OFFSETS
            }
            | {struct: image.btf.size(struct) for struct in _SIZES},
            current=_current_task(image),
            per_cpu=_exported(image, "__per_cpu_offset") is not None,
            image_base=segment.address - segment.physical,
            image_end=max(s.address + s.memory_size for s in image.elf.segments),
            module_text=_module_text(image),
            section_address=_section_address(image.btf),
            log_iterator=_log_iterator(image.btf),
        )
    except NotFoundError as error:
        raise UnsupportedError(
            f"{image.path} cannot be emulated: {error}",
            hint=error.hint or "use --kernel vm for this kernel",
        ) from error


def _current_task(image: VmlinuxImage) -> int:
    """Return where the running task is told: a symbol of its own, or a member of pcpu_hot."""
    if image.btf.has("pcpu_hot", "current_task"):
        return _variable(image, "pcpu_hot") + image.btf.offset("pcpu_hot", "current_task")
    return _variable(image, "current_task")


def _variable(image: VmlinuxImage, name: str) -> int:
    """Return an exported variable's value; kallsyms has those only with CONFIG_KALLSYMS_ALL."""
    found = _exported(image, name)
    return image.kallsyms[name] if found is None else found


def _exported(image: VmlinuxImage, name: str) -> int | None:
    return next((export.address for export in image.exports if export.name == name), None)


def _lockless(image: VmlinuxImage, function: str) -> int:
    """Return a function's variant that takes no lock (before 5.16), else the function."""
    without = image.kallsyms.get(f"{function}_nolock")
    return image.kallsyms[function] if without is None else without


def _log_iterator(btf: Btf) -> bytes:
    """Return an iterator over the log: once part of the dumper's own structure, and switched on."""
    structure = "kmsg_dump_iter" if btf.has("kmsg_dump_iter") else "kmsg_dumper"
    iterator = bytearray(btf.size(structure))
    if btf.has(structure, "active"):
        iterator[btf.offset(structure, "active")] = 1
    return bytes(iterator)


def _section_address(btf: Btf) -> int:
    """Return where a section's address is, counted from its ``bin_attribute``."""
    if btf.has("module_sect_attr", "battr"):
        return btf.offset("module_sect_attr", "address") - btf.offset("module_sect_attr", "battr")
    return btf.offset("bin_attribute", "private")


def _module_text(image: VmlinuxImage) -> tuple[tuple[int, int], ...]:
    """Return where struct module says its text is: two layouts, or an array of memory areas."""
    btf = image.btf
    if btf.has("module", "core_layout"):
        return tuple(
            (btf.offset("module", f"{part}.base"), btf.offset("module", f"{part}.text_size"))
            for part in ("core_layout", "init_layout")
        )
    kinds = btf.enumerators("mod_mem_type")
    start, step = btf.offset("module", "mem"), btf.size("module_memory")
    base, size = btf.offset("module_memory", "base"), btf.offset("module_memory", "size")
    return tuple(
        (start + step * kinds[kind] + base, start + step * kinds[kind] + size)
        for kind in ("MOD_TEXT", "MOD_INIT_TEXT")
    )
