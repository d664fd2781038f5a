"""insmod, rmmod, modprobe and lsmod against the real kmod, each on a real kernel of its own.

Compared after every command: exit status, standard output, /proc/modules. ``@`` stands for the
folder of our own modules.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.guest_kmod import make_tree, run_kmod, run_ours
from tests.support.kernels import KernelFiles

SCENARIOS: dict[str, tuple[str, list[str]]] = {
    # insmod
    "insmod": ("", ["insmod @hello.ko", "lsmod"]),
    "insmod-parameters": ("", ["insmod @params.ko an_int=5 a_charp=x", "lsmod"]),
    "insmod-twice": ("", ["insmod @hello.ko", "insmod @hello.ko"]),
    "insmod-bad-parameter": ("", ["insmod @params.ko an_int=x", "lsmod"]),
    "insmod-unknown-parameter": ("", ["insmod @params.ko nothing=1", "lsmod"]),
    "insmod-unknown-symbol": ("", ["insmod @importer.ko", "insmod @unknown_symbol.ko"]),
    "insmod-in-order": ("", ["insmod @exporter.ko", "insmod @importer.ko", "lsmod"]),
    "insmod-no-such-file": ("", ["insmod @absent.ko", "insmod /nowhere/x.ko"]),
    "insmod-no-argument": ("", ["insmod", "insmod -"]),
    "insmod-truncated": ("", ["insmod @truncated.ko", "insmod @empty.ko", "lsmod"]),
    "insmod-no-module": ("", ["insmod /etc/modprobe.d/test.conf", "insmod /etc"]),
    "insmod-init-fails": ("", [f"insmod @init_fails.ko result=-{n}" for n in (1, 2, 8, 16, 17)]),
    "insmod-positive": ("", ["insmod @init_fails.ko result=3", "lsmod", "rmmod init_fails"]),
    "insmod-forced": ("", ["insmod -f @hello.ko", "lsmod"]),
    "insmod-ignored-options": ("", ["insmod -p -s @hello.ko", "insmod -q @hello.ko"]),
    "insmod-oops": ("", ["lsmod", "insmod @warn.ko", "lsmod"]),
    # rmmod
    "rmmod": ("", ["insmod @hello.ko", "rmmod hello", "lsmod"]),
    "rmmod-not-loaded": ("", ["rmmod hello", "rmmod no-such-module"]),
    "rmmod-several": ("", ["insmod @hello.ko", "insmod @params.ko", "rmmod params hello", "lsmod"]),
    "rmmod-held": ("", ["modprobe importer", "rmmod exporter", "rmmod importer exporter", "lsmod"]),
    "rmmod-some-fail": ("", ["modprobe importer", "rmmod exporter importer", "lsmod"]),
    "rmmod-no-exit": ("", ["insmod @no_exit.ko", "rmmod no_exit", "rmmod -f no_exit", "lsmod"]),
    "rmmod-by-file": ("", ["insmod @hello.ko", "rmmod @hello.ko", "lsmod"]),
    "rmmod-no-argument": ("", ["rmmod", "rmmod -v", "rmmod --nonsense"]),
    "rmmod-dashes": ("", ["insmod @no_exit.ko", "rmmod -f no-exit", "lsmod"]),
    "rmmod-verbose": ("", ["insmod @hello.ko", "rmmod -v hello"]),
    "rmmod-builtin": ("", ["rmmod unix", "rmmod printk"]),
    # modprobe
    "modprobe": ("", ["modprobe loop", "lsmod"]),
    "modprobe-dependency": ("", ["modprobe importer", "lsmod"]),
    "modprobe-chain": ("", ["modprobe ext4", "lsmod"]),
    "modprobe-deep": ("", ["modprobe 8021q", "lsmod", "modprobe -r 8021q", "lsmod"]),
    "modprobe-verbose": ("", ["modprobe -v importer", "modprobe -rv importer", "lsmod"]),
    "modprobe-dry-run": ("", ["modprobe -nv importer", "lsmod"]),
    "modprobe-parameters": ("", ["modprobe params an_int=9 'a_charp=a b'", "lsmod"]),
    "modprobe-options": ("options params an_int=7\n", ["modprobe -v params an_int=8", "lsmod"]),
    "modprobe-not-found": ("", ["modprobe no_such_module", "modprobe -q no_such_module"]),
    "modprobe-twice": ("", ["modprobe loop", "modprobe loop", "modprobe --first-time loop"]),
    "modprobe-first-time": ("", ["modprobe --first-time hello", "modprobe -r --first-time loop"]),
    "modprobe-alias": ("alias my_disk loop\n", ["modprobe my_disk", "lsmod"]),
    "modprobe-fs-alias": ("", ["modprobe fs-vfat", "lsmod"]),
    "modprobe-symbol": ("", ["modprobe symbol:lkm_test_add", "lsmod"]),
    "modprobe-blacklisted-name": ("blacklist loop\n", ["modprobe loop", "lsmod"]),
    "modprobe-blacklisted-alias": ("alias a loop\nblacklist loop\n", ["modprobe a", "lsmod"]),
    "modprobe-use-blacklist": ("blacklist loop\n", ["modprobe -b loop", "lsmod"]),
    "modprobe-all": ("", ["modprobe -a loop dummy no_such hello", "lsmod"]),
    "modprobe-all-first-fails": ("", ["modprobe -a no_such loop", "lsmod"]),
    "modprobe-by-path": ("", ["modprobe @hello.ko", "lsmod"]),
    "modprobe-init-fails": ("", ["modprobe init_fails", "modprobe init_fails result=-2"]),
    "modprobe-bad-parameter": ("", ["modprobe params an_int=x", "lsmod"]),
    "modprobe-unknown-symbol": ("", ["modprobe unknown_symbol", "lsmod"]),
    "modprobe-forced": ("", ["modprobe -f hello", "lsmod", "modprobe -f loop"]),
    "modprobe-force-vermagic": ("", ["modprobe --force-vermagic hello", "lsmod"]),
    "modprobe-builtin": ("", ["modprobe unix", "modprobe -v unix", "modprobe --first-time unix"]),
    # softdeps and commands
    "softdep-pre": ("softdep loop pre: dummy\n", ["modprobe -v loop", "lsmod"]),
    "softdep-post": ("softdep loop post: dummy hello\n", ["modprobe -v loop", "lsmod"]),
    "softdep-missing": ("softdep loop pre: no_such\n", ["modprobe loop", "lsmod"]),
    "softdep-fails": ("softdep loop pre: init_fails\n", ["modprobe loop", "lsmod"]),
    "softdep-remove": (
        "softdep loop pre: dummy\n",
        ["modprobe loop", "modprobe -rv loop", "lsmod"],
    ),
    "install-command": (
        "install loop /sbin/insmod @hello.ko $CMDLINE_OPTS\n",
        ["modprobe -v loop", "lsmod"],
    ),
    "install-command-fails": ("install loop exit 3\n", ["modprobe loop", "lsmod"]),
    "install-and-ignore": ("install loop exit 3\n", ["modprobe -i loop", "lsmod"]),
    "install-false-dependency": (
        "install exporter exit 1\n",
        ["modprobe importer", "lsmod"],
    ),
    "install-itself": (
        "install loop /sbin/modprobe -i loop max_loop=3\n",
        ["modprobe -v loop", "lsmod"],
    ),
    "remove-command": (
        "remove loop /sbin/rmmod loop && /sbin/insmod @hello.ko\n",
        ["modprobe loop", "modprobe -rv loop", "lsmod"],
    ),
    # modprobe -r
    "remove": ("", ["modprobe loop", "modprobe -r loop", "lsmod", "modprobe -r loop"]),
    "remove-orphans": ("", ["modprobe importer", "modprobe -r importer", "lsmod"]),
    "remove-held": ("", ["modprobe importer", "modprobe -r exporter", "lsmod"]),
    "remove-holders": ("", ["modprobe importer", "modprobe -rv --remove-holders exporter"]),
    "remove-shared": ("", ["modprobe 8021q", "modprobe -rv 8021q mrp", "lsmod"]),
    "remove-several": ("", ["modprobe -a loop dummy", "modprobe -r loop dummy", "lsmod"]),
    "remove-not-found": ("", ["modprobe -r no_such", "modprobe -ra no_such loop"]),
    "remove-builtin": ("", ["modprobe -r unix", "modprobe -ra unix loop"]),
    "remove-no-exit": ("", ["modprobe no_exit", "modprobe -r no_exit", "lsmod"]),
    "remove-wait": ("", ["modprobe importer", "modprobe -r -w 30 exporter", "lsmod"]),
    "remove-dry-run": ("", ["modprobe importer", "modprobe -rnv importer", "lsmod"]),
    "remove-all-in-use": ("", ["modprobe importer", "modprobe -ra exporter importer", "lsmod"]),
}

# Where ours differs from the kmod 30 it is held against, and why.
DIFFERENT = {
    "modprobe-by-path": "modprobe takes a file since kmod 31",
    "remove-wait": "kmod 30 says that it removed a module whose holder stayed all the time",
}

# Each touches something the others do not; the whole list is for the long run.
_SAMPLES = {
    *("rmmod-held", "modprobe-deep", "modprobe-all", "install-itself", "remove-holders"),
}


@pytest.fixture(scope="session")
def small_tree(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(kernel, tmp_path_factory.mktemp("guest-tree"))


@pytest.mark.parametrize(
    "scenario",
    [
        name if name in _SAMPLES else pytest.param(name, marks=pytest.mark.full)
        for name in SCENARIOS
    ],
)
def test_as_kmod(scenario: str, kernel: KernelFiles, small_tree: Path) -> None:
    config, commands = SCENARIOS[scenario]
    config = config.replace("@", f"/lib/modules/{kernel.release}/extra/")
    theirs = run_kmod(kernel, small_tree, config, commands)
    ours = run_ours(kernel, small_tree, config, commands)
    if scenario in DIFFERENT:
        assert [r.comparable() for r in ours] != [r.comparable() for r in theirs]
        return
    for command, expected, found in zip(commands, theirs, ours, strict=True):
        assert found.comparable() == expected.comparable(), (
            f"after {command}\nkmod: {expected.stderr}\nours: {found.stderr}"
        )


def test_there_are_enough_scenarios() -> None:
    assert len(SCENARIOS) - len(DIFFERENT) >= 60
    assert set(SCENARIOS) >= _SAMPLES
