"""``lkm dkms`` against Debian's dkms: the same commands, then statuses, words and trees compared.

Where 3.4.3, whose place we take, speaks differently from the 3.2.2 here, the scenario is left to
the tests of our own words.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.dkms import KERNELS, NO_HEADERS, Pair, World, missing, module

FIRST, SECOND = KERNELS


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    reason = missing()
    if reason:
        pytest.fail(reason)
    return Pair(tmp_path)


def _hello(pair: Pair) -> None:
    pair.source("hello", module_version="1.0")


def _pool(pair: Pair) -> None:
    """Put packages of every kind into both worlds."""
    pair.source("hello", "1.0", module_version="1.0")
    pair.source("hello", "2.0", module_version="2.0")
    pair.source("two", modules=("one", "other"))
    pair.source("needs", conf='BUILD_DEPENDS[0]="hello"')
    pair.source("fails", conf='MAKE[0]="false"')
    pair.source("manual", conf='AUTOINSTALL="no"')
    pair.source("nothing", conf='MAKE[0]="true"')
    pair.source("bad", conf='DEST_MODULE_LOCATION[0]="/nowhere"')
    script = "#!/bin/sh\necho $0 ran >&2\n"
    pair.source(
        "scripts",
        conf="\n".join(
            f'{kind}="{kind.lower()}.sh"'
            for kind in ("POST_ADD", "PRE_BUILD", "POST_BUILD", "PRE_INSTALL", "POST_INSTALL")
        )
        + '\nPOST_REMOVE="post_remove.sh"',
        extra={
            f"{kind}.sh": script.replace(" $0", f" {kind}")
            for kind in ("post_add", "pre_build", "post_build", "post_install", "post_remove")
        }
        | {"pre_install.sh": "#!/bin/sh\nexit 0\n"},
    )


SCENARIOS: dict[str, list[str]] = {
    "life of a package": [
        "add hello/1.0",
        "add hello/1.0",
        f"build hello/1.0 -k {FIRST}",
        f"build hello/1.0 -k {FIRST}",
        f"install hello/1.0 -k {FIRST}",
        f"install hello/1.0 -k {FIRST}",
        "status",
        f"uninstall hello/1.0 -k {FIRST}",
        f"unbuild hello/1.0 -k {FIRST}",
        "remove hello/1.0 --all",
    ],
    "all at once": [
        f"install hello -v 1.0 -k {FIRST} -k {SECOND}",
        "status",
        "remove hello/1.0 --all",
    ],
    "forced": [
        f"install hello/1.0 -k {FIRST}",
        f"install hello/1.0 -k {FIRST} --force",
        f"build hello/1.0 -k {FIRST} --force",
        f"status -k {FIRST}",
    ],
    "one version over another": [
        f"install hello/1.0 -k {FIRST}",
        f"install hello/2.0 -k {FIRST}",
        "status",
        f"install hello/1.0 -k {FIRST}",
        f"remove hello/2.0 -k {FIRST}",
        "status -m hello",
    ],
    "no headers": [f"build hello/1.0 -k {NO_HEADERS}", f"install hello/1.0 -k {NO_HEADERS}"],
    "no such kernel": ["build hello/1.0 -k 9.9", "uninstall hello/1.0 -k 9.9"],
    "no such package": ["add gone/1.0", "build gone/1.0", "remove gone/1.0", "status gone"],
    "a failing make": [f"build fails/1.0 -k {FIRST}", "status", f"install fails/1.0 -k {FIRST}"],
    "no module": [f"build nothing/1.0 -k {FIRST}"],
    "a bad conf": ["add bad/1.0", "status"],
    "two modules": [f"install two/1.0 -k {FIRST}", "status", f"uninstall two/1.0 -k {FIRST}"],
    "scripts": [f"install scripts/1.0 -k {FIRST}", f"remove scripts/1.0 -k {FIRST}"],
    "dependencies": [
        f"build needs/1.0 -k {FIRST}",
        f"build needs/1.0 -k {FIRST} --force",
        f"install hello/1.0 -k {FIRST}",
        f"install needs/1.0 -k {FIRST}",
    ],
    "autoinstall": [
        "add hello/1.0",
        "add needs/1.0",
        "add manual/1.0",
        f"autoinstall -k {FIRST}",
        f"autoinstall -k {FIRST}",
        "status",
        f"kernel_prerm -k {FIRST}",
        f"kernel_postinst -k {FIRST}",
    ],
    "autoinstall with failures": [
        "add fails/1.0",
        "add hello/1.0",
        "add hello/2.0",
        f"autoinstall -k {FIRST}",
        f"autoinstall -k {NO_HEADERS}",
    ],
    "wrong command lines": [
        "add",
        "build",
        "remove hello",
        "status --unknown",
        f"remove hello/1.0 --all -k {FIRST}",
        "add build",
        "autoinstall --all",
        f"autoinstall -k {FIRST} -k {SECOND}",
        "kernel_prerm",
        "mktarball hello/1.0 --source-only --binaries-only",
        "match -k a",
    ],
    "archives": [
        f"install hello/1.0 -k {FIRST}",
        f"mktarball hello/1.0 -k {FIRST} --archive ROOT/a.tar",
        "mktarball hello/1.0 --source-only --archive ROOT/b.tar",
        f"mktarball hello/1.0 -k {SECOND}",
        "remove hello/1.0 --all",
        "ldtarball ROOT/a.tar",
        "status",
        "ldtarball ROOT/b.tar",
    ],
    "directives": [
        "add hello/1.0",
        f"build hello/1.0 -k {FIRST} --directive MAKE=false",
        f"build hello/1.0 -k {FIRST} --directive STRIP=no --directive PACKAGE_NAME=x",
    ],
    "verbose": [f"install hello/1.0 -k {FIRST} --verbose --no-depmod"],
    "other spellings": [
        "add -m hello/1.0",
        f"install --module=hello -v 1.0 --kernelver={FIRST}/x86_64",
        f"status --kernelver {FIRST} -a x86_64",
        "status -m h*o --all",
        "status -q",
    ],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, pair: Pair) -> None:
    _pool(pair)
    for command in SCENARIOS[name]:
        pair.agree(*command.split())


def test_a_folder_is_added(pair: Pair) -> None:
    def change(world: World) -> None:
        folder = world.add_source("moved", "3.0")
        folder.rename(world.root / "elsewhere")

    pair.each(change)
    pair.agree("add", "ROOT/elsewhere")
    pair.agree("add", "ROOT/elsewhere/dkms.conf")
    pair.agree("build", "ROOT/elsewhere", "-k", FIRST)


def test_the_kernels_own_module_comes_back(pair: Pair) -> None:
    def change(world: World) -> None:
        folder = world.install_tree / FIRST / "kernel/extra"
        folder.mkdir()
        (folder / "hello.ko").write_bytes((world.source_tree / "old.bin").read_bytes())

    def older(world: World) -> None:
        (world.source_tree / "old.bin").write_bytes(module("hello", "0.5", "abc"))

    _hello(pair)
    pair.each(older)
    pair.each(change)
    pair.agree("install", "hello/1.0", "-k", FIRST)
    pair.agree("status")
    pair.agree("uninstall", "hello/1.0", "-k", FIRST)


@pytest.mark.parametrize("version", ["9.0", "1.0"])
def test_a_newer_or_equal_module_stays(version: str, pair: Pair) -> None:
    def change(world: World) -> None:
        folder = world.install_tree / FIRST / "kernel/drivers"
        folder.mkdir()
        (folder / "hello.ko").write_bytes(module("hello", version, "10"))

    _hello(pair)
    pair.each(change)
    pair.agree("install", "hello/1.0", "-k", FIRST)
    pair.agree("install", "hello/1.0", "-k", FIRST, "--force")
    pair.agree("remove", "hello/1.0", "-k", FIRST)


def test_a_source_that_is_gone(pair: Pair) -> None:
    _hello(pair)
    pair.agree("add", "hello/1.0")
    pair.each(lambda world: (world.source_tree / "hello-1.0").rename(world.root / "gone"))
    for verb in ("status", "build", "install", "remove", "unbuild", "uninstall"):
        pair.agree(verb, "hello/1.0", "-k", FIRST)
    pair.agree("autoinstall", "-k", FIRST)


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst"])
def test_modules_are_packed_as_the_kernels(ending: str, pair: Pair) -> None:
    _hello(pair)
    pair.each(lambda world: world.add_kernel("6.1.0-9-packed", ending=ending))
    pair.agree("install", "hello/1.0", "-k", "6.1.0-9-packed")
    pair.agree("status")
    pair.agree("remove", "hello/1.0", "-k", "6.1.0-9-packed")


def test_patches(pair: Pair) -> None:
    patch = "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1,2 @@\n all:\n+\ttrue\n"
    for name, conf in (
        ("patched", 'PATCH[0]="a.patch"'),
        ("matched", 'PATCH[0]="a.patch"\nPATCH_MATCH[0]="^5[.]"'),
        ("missing", 'PATCH[0]="b.patch"'),
        ("outside", 'PATCH[0]="../a.patch"'),
        ("failing", 'PATCH[0]="a.patch"\nPATCH[1]="a.patch"'),
    ):
        pair.source(name, conf=conf, extra={"patches/a.patch": patch})
        pair.agree("build", f"{name}/1.0", "-k", FIRST)


def test_shell_in_dkms_conf(pair: Pair) -> None:
    conf = r"""
if [ "$kernelver" = 6.1.0-1-test ]; then BUILT_MODULE_NAME[0]=shell; fi
WORDS=$(echo a   b)
MAKE[0]='cp ${PACKAGE_NAME}.bin   ${PACKAGE_NAME}.ko # "$kernel_source_dir" \$kernelver'
MAKE[1]="false"
MAKE_MATCH[1]="^6\.1\.0-2-"
case $arch in x86_64) STRIP[0]=no;; esac
echo said
"""
    pair.source("shell", conf=conf)
    pair.agree("build", "shell/1.0", "-k", FIRST)
    pair.agree("build", "shell/1.0", "-k", SECOND)


def _random_commands(seed: int, length: int) -> list[str]:
    chosen = random.Random(seed)
    packages = ("hello/1.0", "hello/2.0", "two/1.0", "needs/1.0", "fails/1.0", "manual/1.0")
    commands = []
    for _ in range(length):
        package, kernel = chosen.choice(packages), chosen.choice(KERNELS)
        verb = chosen.choice(
            ("add", "build", "install", "install", "uninstall", "unbuild", "remove", "autoinstall")
        )
        if verb == "autoinstall":
            commands.append(f"autoinstall -k {kernel}")
        elif verb == "add":
            commands.append(f"add {package}")
        else:
            force = " --force" if chosen.random() < 0.2 else ""
            commands.append(f"{verb} {package} -k {kernel}{force}")
    return [*commands, "status"]


@pytest.mark.parametrize("seed", range(20))
def test_random_sequence(seed: int, pair: Pair) -> None:
    _pool(pair)
    for command in _random_commands(seed, 2):
        pair.agree(*command.split())


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_many_random_sequences(seed: int, pair: Pair) -> None:
    _pool(pair)
    for command in _random_commands(seed, 9):
        pair.agree(*command.split())
