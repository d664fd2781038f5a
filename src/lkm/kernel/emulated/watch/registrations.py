"""What a module registers with the kernel, and whether it takes it back before it goes.

Both are seen at the kernel's own functions, whoever calls them for the module; what is registered
while another registration is under way belongs to that one. ``devm_`` functions end in the same
functions, so what they undo counts as undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import BrokenRule, KernelRule, Site

_KERNEL_ERRORS = 2**64 - 4096

KeyReader = Callable[[Scene], int]
NameReader = Callable[[Scene, int], str]


def _nth(position: int) -> KeyReader:
    return lambda scene: scene.argument(position)


def _pair(first: int, second: int) -> KeyReader:
    return lambda scene: scene.argument(first) & 0xFFFFFFFF | scene.argument(second) << 32


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of registration: what it is called, who makes it, who undoes it.

    ``key`` gives what identifies it, read at the entry of the function that registers; where
    ``by_result`` it is what that function returns; ``gives_pointer``: what it returns is no errno.
    ``undo`` are the functions that undo it, each with what gives the key there; ``gone`` looks
    whether it still is registered. ``name`` gives its name at entry; ``words`` has ``{name}``.
    ``roots`` are parts of names of which the module must import one.
    """

    words: str
    register: tuple[str, ...]
    key: KeyReader
    undo: tuple[tuple[str, KeyReader], ...]
    name: NameReader
    by_result: bool = False
    gives_pointer: bool = False
    gone: Callable[[Scene, int], bool] | None = None
    roots: tuple[str, ...] = ()


def _text_at(position: int) -> NameReader:
    return lambda scene, _key: scene.text(scene.argument(position))


def _member_text(structure: str, member: str) -> NameReader:
    """Return what reads the text that a pointer in a structure points to."""

    def read(scene: Scene, key: int) -> str:
        offset = scene.offset(structure, member)
        return scene.text(scene.u64(key + offset) or 0) if offset is not None else ""

    return read


def _variable(_scene: Scene, key: int) -> str:
    return _scene.places.name(key)


def _proc_name(scene: Scene, key: int) -> str:
    """proc_register(dir, dp): the path of the entry, by its parents' names."""
    name, parent = scene.offset("proc_dir_entry", "name"), scene.argument(0)
    up = scene.offset("proc_dir_entry", "parent")
    if name is None or up is None:
        return "/proc/?"
    parts = [scene.text(scene.u64(key + name) or 0)]
    for _ in range(16):
        above = scene.u64(parent + up)
        if above is None or above == parent:
            break
        parts.append(scene.text(scene.u64(parent + name) or 0))
        parent = above
    return "/proc/" + "/".join(reversed(parts))


def _sysfs_path(scene: Scene, kobject: int) -> str:
    name, up = scene.offset("kobject", "name"), scene.offset("kobject", "parent")
    parts: list[str] = []
    while kobject and len(parts) < 32 and name is not None and up is not None:
        parts.append(scene.text(scene.u64(kobject + name) or 0))
        kobject = scene.u64(kobject + up) or 0
    return "/sys/" + "/".join(reversed(parts))


def _attribute(scene: Scene, _key: int) -> str:
    offset = scene.offset("attribute", "name") or 0
    attribute = scene.text(scene.u64(scene.argument(1) + offset) or 0)
    return f"{_sysfs_path(scene, scene.argument(0))}/{attribute}"


def _group(scene: Scene, _key: int) -> str:
    offset = scene.offset("attribute_group", "name") or 0
    name = scene.text(scene.u64(scene.argument(1) + offset) or 0)
    return f"{_sysfs_path(scene, scene.argument(0))}/{name}".rstrip("/")


def _dentry_gone(scene: Scene, dentry: int) -> bool:
    """Whether a directory entry was removed: it is no longer in the hash of names."""
    at = scene.offset("dentry", "d_hash.pprev")
    return at is not None and not scene.u64(dentry + at)


def _number_key(scene: Scene, result: int) -> int:
    """Return major and minor of what __register_chrdev_region returned, as its undoing has them."""
    major = scene.offset("char_device_struct", "major") or 0
    minor = scene.offset("char_device_struct", "baseminor") or 0
    return (scene.u32(result + major) or 0) | (scene.u32(result + minor) or 0) << 32


def _net_device_gone(scene: Scene, device: int) -> bool:
    at = scene.offset("net_device", "reg_state")
    state = (scene.u32(device + at) or 0) & 0xFF if at is not None else 0
    return state != 1  # NETREG_REGISTERED


def _kprobe_gone(scene: Scene, probe: int) -> bool:
    """Whether a probe is in no list of the kernel's (``hlist_del_rcu`` poisons the link)."""
    at = scene.offset("kprobe", "hlist.pprev")
    return at is None or scene.u64(probe + at) in (0, _LIST_POISON2)


def _kernels_own(scene: Scene, kobject: int) -> bool:
    """Whether a kobject is one that the kernel keeps for itself, and takes away when it likes."""
    return _sysfs_path(scene, kobject).startswith(_KERNELS_OWN)


_LIST_POISON2 = 0xDEAD000000000122
_KERNELS_OWN = ("/sys/module/", "/sys/kernel/slab/", "/sys/kernel/iommu_groups/")
_NOTIFIER_ENDS = tuple(
    (f"{kind}_notifier_chain_unregister", _nth(1)) for kind in ("blocking", "atomic", "raw", "srcu")
)

_KINDS = (
    _Kind(
        "interrupt {name}: its handler is still registered",
        ("request_threaded_irq",),
        _pair(0, 5),
        (("free_irq", _pair(0, 1)),),
        lambda scene, _key: (
            f"IRQ {scene.argument(0) & 0xFFFFFFFF}\0{scene.text(scene.argument(4))}"
        ),
        roots=("irq",),
    ),
    _Kind(
        "the notifier {name} is still registered",
        ("notifier_chain_register",),
        _nth(1),
        _NOTIFIER_ENDS,
        _variable,
        roots=("notifier",),
    ),
    _Kind(
        "{name} is still there",
        ("proc_register",),
        _nth(1),
        (("proc_entry_rundown", _nth(0)), ("pde_free", _nth(0))),
        _proc_name,
        gives_pointer=True,
        roots=("proc_",),
    ),
    _Kind(
        "the debugfs entry {name} is still there",
        (
            "debugfs_create_dir",
            "__debugfs_create_file",
            "debugfs_create_file_full",
            "debugfs_create_symlink",
            "debugfs_create_automount",
        ),
        _nth(0),
        (),
        _text_at(0),
        by_result=True,
        gone=_dentry_gone,
        roots=("debugfs_",),
    ),
    _Kind(
        "the character device number of {name} is still registered",
        ("__register_chrdev_region",),
        _nth(0),
        (("__unregister_chrdev_region", _pair(0, 1)),),
        _text_at(3),
        by_result=True,
        roots=("chrdev",),
    ),
    _Kind(
        "the character device {name} is still registered",
        ("cdev_add",),
        _nth(0),
        (("cdev_del", _nth(0)),),
        _variable,
        roots=("cdev_",),
    ),
    _Kind(
        "the misc device {name} is still registered",
        ("misc_register",),
        _nth(0),
        (("misc_deregister", _nth(0)),),
        _member_text("miscdevice", "name"),
        roots=("misc_",),
    ),
    _Kind(
        "the network device {name} is still registered",
        ("register_netdevice",),
        _nth(0),
        (),
        lambda scene, key: scene.text(key + (scene.offset("net_device", "name") or 0)),
        gone=_net_device_gone,
        roots=("netdev",),
    ),
    _Kind(
        "the file system {name} is still registered",
        ("register_filesystem",),
        _nth(0),
        (("unregister_filesystem", _nth(0)),),
        _member_text("file_system_type", "name"),
        roots=("filesystem",),
    ),
    _Kind(
        "the netfilter hook {name} is still registered",
        ("nf_register_net_hook",),
        _nth(1),
        (("nf_unregister_net_hook", _nth(1)),),
        _variable,
        roots=("nf_register",),
    ),
    _Kind(
        "the kprobe on {name} is still registered",
        ("register_kprobe",),
        _nth(0),
        (),
        _member_text("kprobe", "symbol_name"),
        gone=_kprobe_gone,
        roots=("kprobe", "kretprobe"),
    ),
    _Kind(
        "the sysctl table {name} is still registered",
        ("__register_sysctl_table",),
        _nth(0),
        (("unregister_sysctl_table", _nth(0)),),
        _text_at(1),
        by_result=True,
        roots=("sysctl",),
    ),
    _Kind(
        "{name} is still registered in sysfs",
        ("kobject_add_internal",),
        _nth(0),
        (("__kobject_del", _nth(0)), ("kobject_cleanup", _nth(0))),
        lambda scene, key: scene.text(scene.u64(key + (scene.offset("kobject", "name") or 0)) or 0),
        gone=_kernels_own,
        roots=("",),
    ),
    _Kind(
        "{name} is still there",
        ("sysfs_create_file_ns",),
        _pair(0, 1),
        (("sysfs_remove_file_ns", _pair(0, 1)),),
        _attribute,
        roots=("sysfs_", "device_create_file", "driver_create_file", "class_create_file"),
    ),
    _Kind(
        "{name}: its attributes are still there",
        ("sysfs_create_group",),
        _pair(0, 1),
        (("sysfs_remove_group", _pair(0, 1)),),
        _group,
        roots=("sysfs_",),
    ),
)
_PLAIN = (
    ("shrinker", "register_shrinker", "unregister_shrinker"),
    ("binary format", "__register_binfmt", "unregister_binfmt"),
    ("packet type", "dev_add_pack", "__dev_remove_pack"),
    ("per-network operations", "register_pernet_subsys", "unregister_pernet_subsys"),
    ("per-network operations", "register_pernet_device", "unregister_pernet_device"),
    ("console", "register_console", "unregister_console"),
    ("syscore operations", "register_syscore_ops", "unregister_syscore_ops"),
    ("TTY driver", "tty_register_driver", "tty_unregister_driver"),
    ("input handler", "input_register_handler", "input_unregister_handler"),
    ("generic netlink family", "genl_register_family", "genl_unregister_family"),
    ("crypto algorithm", "crypto_register_alg", "crypto_unregister_alg"),
)


def _kinds() -> tuple[_Kind, ...]:
    plain = tuple(
        _Kind(
            f"the {what} {{name}} is still registered",
            (register,),
            _nth(0),
            ((undo, _nth(0)),) if undo else (),
            _variable,
            roots=(register.removeprefix("__"),),
        )
        for what, register, undo in _PLAIN
    )
    return _KINDS + plain


@dataclass(frozen=True, slots=True)
class _Made:
    kind: _Kind
    name: str
    site: Site
    owner: int


class Registrations(Check):
    """Interrupts, notifiers, devices, entries of proc, sysfs and debugfs that a module leaves."""

    def __init__(self, scene: Scene, imports: frozenset[str]) -> None:
        super().__init__(scene)
        self._imports = imports
        self._made: dict[tuple[int, int], _Made] = {}
        self._depth: dict[int, int] = {}

    def attach(self) -> None:
        """Stand at the functions that what the module imports can lead to."""
        self._made.clear()
        self._depth.clear()
        if not any(registers(name) for name in self._imports):
            return
        for number, kind in enumerate(_kinds()):
            if not any(root in name for root in kind.roots for name in self._imports):
                continue
            for function in kind.register:
                self.scene.watch(function, self._registering(number, kind))
            for function, key in kind.undo:
                self.scene.watch(function, self._undoing(number, key))

    def _registering(self, number: int, kind: _Kind) -> Callable[[], None]:
        def entered() -> None:
            scene = self.scene
            task = scene.task
            nested = self._depth.get(task, 0)
            self._depth[task] = nested + 1
            site = scene.places.caller() if not nested else None
            key = kind.key(scene)
            name = kind.name(scene, key) if site else ""
            owner = scene.argument(0)

            def came_back(value: int) -> None:
                self._depth[task] = nested
                pointer = kind.by_result or kind.gives_pointer
                failed = not 0 < value < _KERNEL_ERRORS if pointer else value & 0xFFFFFFFF
                if site is None or failed:
                    return
                made = key
                if kind.by_result:
                    region = "chrdev" in kind.register[0]
                    made = _number_key(scene, value) if region else value
                self._made[number, made] = _Made(kind, name, site, owner)

            scene.on_return(came_back)

        return entered

    def _undoing(self, number: int, key: KeyReader) -> Callable[[], None]:
        def entered() -> None:
            gone = key(self.scene)
            self._made.pop((number, gone), None)
            if _kinds_of_kobject(number):
                self._owner_gone(self.scene.argument(0))

        return entered

    def _owner_gone(self, kobject: int) -> None:
        """What was put into a directory of sysfs goes with it."""
        for place in [p for p, made in self._made.items() if made.owner == kobject]:
            del self._made[place]

    def leaving(self) -> None:
        """Tell what is still registered."""
        for (_, key), made in self._made.items():
            if made.name.startswith(_KERNELS_OWN):
                continue  # attributes of a cache's directory: who keeps the cache keeps them
            if made.kind.gone is None or not made.kind.gone(self.scene, key):
                self.scene.report(BrokenRule(KernelRule.LEFT_BEHIND, _words(made), made.site))
        self._made.clear()


def _kinds_of_kobject(number: int) -> bool:
    return _kinds()[number].register[0] == "kobject_add_internal"


def _words(made: _Made) -> str:
    name, _, owner = made.name.partition("\0")
    if owner:
        return f"{name} is still registered to {owner}"
    return made.kind.words.format(name=name or "?")


_LEADS = (
    *("register", "creat", "add", "request", "misc_", "proc_", "debugfs", "device", "driver"),
    *("notifier", "alloc", "init", "class", "kobject", "sysfs", "probe", "irq"),
)


def registers(name: str) -> bool:
    """Whether a function of that name may register something."""
    return any(part in name for part in _LEADS)
