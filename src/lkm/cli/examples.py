"""Examples for the help of each command, and the purposes by which commands are listed."""

from __future__ import annotations

PURPOSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Write and try a module", ("new", "try", "matrix", "fuzz", "debug", "ci", "vm", "web")),
    ("Find out why", ("doctor", "oops", "log", "taint", "lint", "why", "boot")),
    ("Look into modules and kernels",
     ("inspect", "symbols", "graph", "diff", "state", "param", "dyndbg", "config", "inventory")),
    ("Sign and trust",
     ("sign", "verify", "strip-signature", "keys", "mok", "secureboot")),
    ("Get kernels, install modules", ("kernels", "dkms", "initramfs", "load-list")),
    ("kmod's own tools", ("modinfo", "modprobe", "insmod", "rmmod", "lsmod", "depmod", "kmod")),
    ("Help", ("help", "completion")),
)  # fmt: skip
"""What commands are for, and which; one that no purpose names is listed at the end."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "completion": ('eval "$(lkm completion bash)"',),
    "depmod": ("lkm depmod -a", "lkm depmod -b /mnt 6.1.0-56-amd64"),
    "diff": ("lkm diff 6.1.0-47-amd64 6.1.0-56-amd64",),
    "dkms": ("lkm dkms status", "lkm dkms install ./driver-1.0 -k 6.1.0-56-amd64"),
    "doctor": ("lkm doctor ./hello.ko", "dmesg | lkm doctor --log -"),
    "dyndbg": ("lkm dyndbg usbcore", "lkm dyndbg usbcore --func 'hub_*' --set +p"),
    "graph": ("lkm graph btrfs",),
    "help": ("lkm help try", "lkm help --man try | man -l -"),
    "insmod": ("lkm insmod ./hello.ko num=5",),
    "inspect": ("lkm inspect ./hello.ko", "lkm inspect btrfs"),
    "inventory": ("lkm inventory > host.json",),
    "kernels": ("lkm kernels", "lkm kernels fetch amd64 --headers"),
    "keys": ("lkm keys new --out keys", "lkm keys builtin 6.1.0-56-amd64"),
    "kmod": ("lkm kmod list",),
    "lint": ("lkm lint",),
    "load-list": ("lkm load-list",),
    "log": ("lkm log", "lkm log --follow"),
    "lsmod": ("lkm lsmod",),
    "matrix": (
        "lkm matrix ./driver --kernels 6.1.0-56-amd64,6.12 --junit matrix.xml",
        "lkm matrix ./hello.ko",
    ),
    "modinfo": ("lkm modinfo -F vermagic ./hello.ko",),
    "modprobe": ("lkm modprobe loop max_loop=8", "lkm modprobe -r loop"),
    "mok": ("lkm mok",),
    "oops": ("dmesg | lkm oops -",),
    "param": ("lkm param loop",),
    "rmmod": ("lkm rmmod hello",),
    "secureboot": ("lkm secureboot --help",),
    "sign": ("lkm sign hello.ko --key keys/MOK.priv --cert keys/MOK.der --out signed.ko",),
    "state": ("lkm state loop",),
    "strip-signature": ("lkm strip-signature signed.ko --out hello.ko",),
    "symbols": ("lkm symbols 'cdrom_*' --users", "lkm symbols kallsyms_lookup_name --kernel 6.12"),
    "taint": ("lkm taint", "lkm taint 12289"),
    "try": (
        "lkm try hello.c",
        "lkm try ./driver --make CONFIG_DRIVER=m --kernel emulated:6.12",
        "lkm try hello.ko num=5 --write /dev/hello=text --read /dev/hello",
        "lkm try hello.ko --fail-alloc each",
    ),
    "verify": ("lkm verify ./hello.ko",),
    "vm": ("lkm vm run -- uname -r",),
    "web": ("lkm web",),
    "why": ("lkm why pcspkr",),
}
"""Command lines that one can copy, by command."""


def text(name: str) -> str:
    """Return the examples of a command as its help shows them; empty where it has none."""
    lines = EXAMPLES.get(name, ())
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)]) if lines else ""
