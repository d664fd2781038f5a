"""What ``lkm dkms`` does that dkms does not: crashes, two at once, the doctor, keys, hooks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from lkm.module.image import ModuleImage
from lkm.module.signature import strip
from lkm.signing import keys
from lkm.signing.efi import GLOBAL, variable_name
from tests.support.dkms import KERNELS, NO_HEADERS, Outcome, World, module, run
from tests.support.elf_writer import Object, Section
from tests.support.kernels import KernelFiles

FIRST, SECOND = KERNELS
PROGRAM = [sys.executable, "-m", "lkm", "dkms"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("try_sign_modules", "true")
    made = World(tmp_path / "world")
    made.add_source("hello", module_version="1.0")
    return made


def dkms(world: World, *words: str, status: int = 0) -> Outcome:
    done = run(PROGRAM, world, words)
    assert done.status == status, done.said
    return done


def document(world: World, *words: str, status: int = 0) -> dict[str, object]:
    found: dict[str, object] = json.loads(dkms(world, *words, "--json", status=status).said)
    return found


def started(
    world: World, *words: str, output: IO[bytes] | int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    trees = ["--dkmstree", str(world.dkms_tree), "--sourcetree", str(world.source_tree)]
    trees += ["--installtree", str(world.install_tree)]
    return subprocess.Popen(
        [*PROGRAM, *words, *trees],
        cwd=world.root,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def wait_for(path: Path) -> None:
    for _ in range(2000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def test_two_commands_do_not_tear_the_tree(world: World) -> None:
    go = world.root / "go"
    slow = f"touch {world.root}/begun; until [ -e {go} ]; do sleep 0.1; done; cp slow.bin slow.ko"
    world.add_source("slow", conf=f'MAKE[0]="{slow}"')
    first = started(world, "build", "slow/1.0", "-k", FIRST)
    wait_for(world.root / "begun")
    said = world.root / "said"
    with open(said, "wb") as output:
        second = started(world, "build", "slow/1.0", "-k", SECOND, output=output)
    while "waiting for another command" not in said.read_text():
        time.sleep(0.05)
        assert second.poll() is None
    go.touch()
    assert (first.wait(), second.wait()) == (0, 0)
    assert dkms(world, "status").said.count("built") == 2


def test_a_script_may_call_dkms(world: World) -> None:
    script = (
        f"#!/bin/sh\nexec {sys.executable} -m lkm dkms status"
        f" --dkmstree {world.dkms_tree} --sourcetree {world.source_tree}\n"
    )
    world.add_source("calls", conf='POST_ADD="call.sh"', extra={"call.sh": script})
    assert "calls/1.0: added" in dkms(world, "add", "calls/1.0").said


@pytest.mark.parametrize("moment", ["make", "post_install"])
def test_killed_in_the_middle(world: World, moment: str) -> None:
    """After a kill the tree is as before, or as after; and the next command goes through."""
    stop = f"touch {world.root}/begun; sleep 60"
    script = f"#!/bin/sh\n{stop}\n"
    conf = f'MAKE[0]="{stop}"' if moment == "make" else 'POST_INSTALL="stop.sh"'
    world.add_source("stops", conf=conf, extra={"stop.sh": script})
    process = started(world, "install", "stops/1.0", "-k", FIRST)
    wait_for(world.root / "begun")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    state = dkms(world, "status", "stops").said.strip()
    expected = "stops/1.0: added" if moment == "make" else f"stops/1.0, {FIRST}, x86_64: installed"
    assert state == expected
    dkms(world, "remove", "stops/1.0", "-k", FIRST)
    assert not list((world.install_tree / FIRST).rglob("*.ko"))


def test_an_installation_cut_short_is_taken_back(world: World) -> None:
    """The note of what was about to be done is left behind, as by a kill between two renames."""
    folder = world.install_tree / FIRST / "kernel/extra"
    folder.mkdir()
    original = folder / "hello.ko"
    original.write_bytes(module("hello", "0.1", "old"))
    dkms(world, "build", "hello/1.0", "-k", FIRST)
    built = world.dkms_tree / f"hello/1.0/{FIRST}/x86_64/module/hello.ko"
    kept = world.dkms_tree / f"hello/original_module/{FIRST}/x86_64/hello.ko"
    target = world.install_tree / FIRST / "updates/dkms/hello.ko"
    pending = world.dkms_tree / ".pending/hello-1.0"
    for path in (kept, target, pending):
        path.parent.mkdir(parents=True)
    shutil.move(original, kept)
    (kept.parent / "hello.ko.origin").write_text(f"{original}\n")
    shutil.copy(built, target)
    placed = [[str(built), str(target), str(original), str(kept)]]
    pending.write_text(json.dumps({"kernel": FIRST, "placed": placed}))
    said = dkms(world, "unbuild", "hello/1.0", "-k", SECOND).said
    assert "was cut short" in said
    assert original.read_bytes() == module("hello", "0.1", "old")
    assert not target.exists()
    assert not pending.parent.exists()
    dkms(world, "install", "hello/1.0", "-k", FIRST)
    dkms(world, "uninstall", "hello/1.0", "-k", FIRST)
    assert original.read_bytes() == module("hello", "0.1", "old")


def test_autoinstall_side_by_side_says_the_same(world: World) -> None:
    for name in "abc":
        world.add_source(name, conf='BUILD_DEPENDS[0]="hello"' if name == "b" else "CLEAN=x")
        dkms(world, "add", f"{name}/1.0")
    dkms(world, "add", "hello/1.0")
    others = shutil.copytree(world.root, world.root.parent / "worlt", symlinks=True)
    for link in others.rglob("source"):
        target = os.readlink(link).replace(str(world.root), str(others))
        link.unlink()
        link.symlink_to(target)
    copy = World.__new__(World)
    copy.root = others
    copy.dkms_tree, copy.source_tree = others / "var/lib/dkms", others / "usr/src"
    copy.install_tree = others / "lib/modules"
    together = dkms(world, "autoinstall", "-k", FIRST, "-j", "2")
    one_by_one = dkms(copy, "autoinstall", "-k", FIRST, "-j", "1")
    assert together.said == one_by_one.said
    assert "succeeded for module(s) a c hello b." in together.said


def test_autoinstall_installs_what_is_built_without_headers(world: World) -> None:
    world.add_source("other")
    dkms(world, "build", "hello/1.0", "-k", FIRST)
    dkms(world, "add", "other/1.0")
    shutil.rmtree(world.install_tree / FIRST / "build")
    said = dkms(world, "autoinstall", "-k", FIRST, status=21).said
    assert "Your kernel headers for kernel" in said
    assert "hello/1.0, 6.1.0-1-test, x86_64: installed" in dkms(world, "status").said


def test_a_conf_that_does_not_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from lkm.build import dkms_shell

    monkeypatch.setattr(dkms_shell, "TIME_LIMIT", 0.5)
    path = world.root / "endless.conf"
    path.write_text("PACKAGE_NAME=x\nwhile :; do :; done\n")
    with pytest.raises(dkms_shell.ConfTimeoutError, match="not read within"):
        dkms_shell.read([dkms_shell.Job((str(path),), {})], ("PACKAGE_NAME",))


@pytest.mark.parametrize(
    "words", [("-m", "..", "-v", "hello-1.0"), ("-m", "hello", "-v", "../../.."), ("../x/1.0",)]
)
def test_no_name_leads_out_of_the_tree(world: World, words: tuple[str, ...]) -> None:
    dkms(world, "add", "hello/1.0")
    said = dkms(world, "remove", *words, "-k", FIRST, status=8).said
    assert "would lead out of the tree" in said
    folder = world.add_source("escapes")
    conf = folder / "dkms.conf"
    conf.write_text(conf.read_text().replace('NAME="escapes"', 'NAME="../escapes"', 1))
    assert "lead out of the tree" in dkms(world, "add", str(folder), status=8).said


def test_a_conf_sees_a_clean_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "no")
    world.add_source("clean", conf='MAKE[0]="echo secret=${SECRET}. && cp clean.bin clean.ko"')
    dkms(world, "build", "clean/1.0", "-k", FIRST)
    log = world.dkms_tree / f"clean/1.0/{FIRST}/x86_64/log/make.log"
    assert "\nsecret=.\n" in log.read_text()


def findings(world: World, status: int = 1) -> dict[str, dict[str, str]]:
    found = document(world, "doctor", status=status)["findings"]
    assert isinstance(found, list)
    return {finding["name"]: finding for finding in found}


def test_the_doctor_names_what_is_missing(world: World) -> None:
    world.add_source("fails", conf='MAKE[0]="echo x.c:1:2: error: no such thing; false"')
    world.add_source("excluded", conf='BUILD_EXCLUSIVE_KERNEL="^5"')
    world.add_source("gone")
    for name in ("hello", "fails", "excluded", "gone"):
        dkms(world, "add", f"{name}/1.0")
    shutil.rmtree(world.source_tree / "gone-1.0")
    dkms(world, "build", "fails/1.0", "-k", FIRST, status=10)
    dkms(world, "install", "hello/1.0", "-k", FIRST)
    installed = world.install_tree / FIRST / "updates/dkms/hello.ko"
    installed.write_bytes(module("hello", "1.0", "else"))
    (world.install_tree / FIRST / "modules.dep").write_text("")
    found = findings(world)
    assert found["no-headers"]["kernel"] == NO_HEADERS
    assert found["build-failed"]["text"].endswith("x.c:1:2: error: no such thing")
    assert found["broken"]["package"] == "gone/1.0"
    assert found["excluded"]["package"] == "excluded/1.0"
    assert found["different"]["fix"] == f"dkms install hello/1.0 -k {FIRST} --force"
    assert found["not-indexed"]["package"] == "hello/1.0"
    assert found["not-built"]["fix"] == f"dkms autoinstall -k {SECOND}"
    shutil.rmtree(world.install_tree / FIRST)
    assert findings(world)["leftover"]["kernel"] == FIRST


def test_status_as_a_document(world: World) -> None:
    dkms(world, "install", "hello/1.0", "-k", FIRST)
    entries = document(world, "status")["entries"]
    assert isinstance(entries, list)
    assert entries[0] == {
        "module": "hello",
        "version": "1.0",
        "state": "installed",
        "kernel": FIRST,
        "arch": "x86_64",
        "remarks": [],
    }


def test_broken_entries_are_mended(world: World) -> None:
    world.add_source("lost")
    for name in ("hello", "lost"):
        dkms(world, "install", f"{name}/1.0", "-k", FIRST)
    (world.dkms_tree / "hello/1.0/source").unlink()
    shutil.rmtree(world.source_tree / "lost-1.0")
    said = dkms(world, "repair", status=1).said
    assert "hello/1.0: linked" in said
    assert "lost/1.0: kept" in said
    assert "lost/1.0: removed (1 installed files" in dkms(world, "repair", "--force").said
    assert dkms(world, "status").said == f"hello/1.0, {FIRST}, x86_64: installed\n"
    assert [path.name for path in (world.install_tree / FIRST).rglob("*.ko")] == ["hello.ko"]


@pytest.fixture
def signing_world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose first kernel signs, with a key of its own."""
    pair = keys.generate("test", days=30)
    monkeypatch.setenv("mok_signing_key", str(world.root / "key"))
    monkeypatch.setenv("mok_certificate", str(world.root / "certificate"))
    (world.root / "key").write_bytes(keys.encode_private_key(pair.private_key, None))
    (world.root / "certificate").write_bytes(pair.certificate.encoded)
    sign_file = world.root / "sign-file"
    sign_file.write_text("#!/bin/false\n")  # ours signs: it is never run
    sign_file.chmod(0o755)
    monkeypatch.setenv("sign_file", str(sign_file))
    config = world.install_tree / FIRST / "build/include/config/auto.conf"
    config.write_text(config.read_text() + 'CONFIG_MODULE_SIG_HASH="sha256"\n')
    return world


def test_what_is_installed_is_signed_later(
    signing_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = signing_world
    monkeypatch.setenv("try_sign_modules", "false")
    dkms(world, "install", "hello/1.0", "-k", FIRST)
    installed = world.install_tree / FIRST / "updates/dkms/hello.ko"
    assert ModuleImage.open(installed).signature is None
    monkeypatch.setenv("try_sign_modules", "true")
    assert "unsigned" in findings(world)
    assert "1 modules signed" in dkms(world, "sign", "hello").said
    first = ModuleImage.open(installed).signature
    assert first is not None
    assert "(Differences" not in dkms(world, "status").said
    assert "0 modules signed" in dkms(world, "sign", "hello").said
    assert "1 modules signed" in dkms(world, "resign", "hello/1.0").said


def test_our_signature_is_that_of_sign_file(kernel: KernelFiles, signing_world: World) -> None:
    world = signing_world
    dkms(world, "build", "hello/1.0", "-k", FIRST)
    built = world.dkms_tree / f"hello/1.0/{FIRST}/x86_64/module/hello.ko"
    theirs = world.root / "theirs.ko"
    theirs.write_bytes(strip(built.read_bytes()))
    command = [
        str(kernel.headers / "scripts/sign-file"),
        "sha256",
        "key",
        "certificate",
        str(theirs),
    ]
    subprocess.run(command, cwd=world.root, check=True)
    assert built.read_bytes() == theirs.read_bytes()


def test_a_machine_with_secure_boot_is_told_at_once(signing_world: World) -> None:
    """What will be refused after the next boot is said on installation."""
    world = signing_world
    variables = world.root / "sys/firmware/efi/efivars"
    variables.mkdir(parents=True)
    name = variable_name("SecureBoot", GLOBAL)
    (variables / name).write_bytes(b"\6\0\0\0\1")
    command = [*PROGRAM, "install", "hello/1.0", "-k", FIRST, "--root", str(world.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    certificate = world.root / "certificate"
    assert f"Enrol it: mokutil --import {certificate}\n" in done.stderr
    again = subprocess.run(
        [*command, "--force"],
        env={**os.environ, "try_sign_modules": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hello/1.0 will be refused" in again.stderr  # still the signed build
    (variables / name).write_bytes(b"\6\0\0\0\0")
    quiet = subprocess.run([*command, "--force"], capture_output=True, text=True, check=False)
    assert "Secure Boot" not in quiet.stderr


def test_a_new_key_is_private_and_never_replaced(
    signing_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = signing_world
    key, certificate = world.root / "key", world.root / "certificate"
    key.unlink()
    certificate.unlink()
    said = dkms(world, "build", "hello/1.0", "-k", FIRST).said
    assert "generating self signed certificate for MOK" in said
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    certificate.unlink()
    dkms(world, "build", "hello/1.0", "-k", FIRST, "--force")
    assert key.read_bytes() == before
    keys.check_pair(keys.load_private_key(key), _certificate(certificate))


def _certificate(path: Path):  # type: ignore[no-untyped-def]
    from lkm.signing import certificate

    return certificate.load(path)


def test_hooks_come_and_go(world: World, tmp_path: Path) -> None:
    root = tmp_path / "image"
    foreign = root / "etc/kernel/prerm.d/dkms"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("#!/bin/sh\n")
    dkms(world, "hooks", "install", status=2)
    said = dkms(world, "hooks", "install", "--root", str(root), status=1).said
    assert f" foreign  {foreign}" in said
    assert foreign.read_text() == "#!/bin/sh\n"
    scripts = [path for path in root.rglob("*") if path.is_file() and os.access(path, os.X_OK)]
    assert len(scripts) == 7
    for script in scripts:
        subprocess.run(["sh", "-n", str(script)], check=True)
    dkms(world, "hooks", "remove", "--root", str(root), status=1)
    assert [path for path in root.rglob("*") if path.is_file()] == [foreign]


def test_a_failing_package_does_not_stop_a_kernel(world: World, tmp_path: Path) -> None:
    root = tmp_path / "image"
    dkms(world, "hooks", "install", "--root", str(root), "debian")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dkms").write_text("#!/bin/sh\necho dkms $*\nexit 11\n")
    (programs / "dkms").chmod(0o755)
    hook = (root / "etc/kernel/postinst.d/dkms").read_text()
    hook = hook.replace("/lib/modules/", f"{world.install_tree}/")
    done = subprocess.run(
        ["sh", "-c", hook, "dkms", FIRST],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == f"dkms autoinstall --kernelver {FIRST}\n"
    assert "not all packages could be built" in done.stderr


def test_the_root_of_an_image(world: World) -> None:
    (world.root / "etc").mkdir()
    (world.root / "etc/os-release").write_text("ID=debian\n")
    command = [*PROGRAM, "install", "hello/1.0", "-k", FIRST, "--root", str(world.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    link = world.dkms_tree / "hello/1.0/source"
    assert os.readlink(link) == "../../../../../usr/src/hello-1.0"
    assert (world.install_tree / FIRST / "updates/dkms/hello.ko").exists()


def test_a_sandboxed_build_writes_its_own_folder_only(world: World) -> None:
    from lkm import landlock

    if not landlock.abi():
        pytest.fail("this kernel has no Landlock")
    stray = world.root / "stray"
    world.add_source("strays", conf=f'MAKE[0]="cp strays.bin strays.ko && touch {stray}"')
    dkms(world, "build", "strays/1.0", "-k", FIRST, "--sandbox", status=10)
    assert not stray.exists()
    dkms(world, "build", "hello/1.0", "-k", FIRST, "--sandbox")


def test_changed_headers_of_the_same_release(world: World) -> None:
    """A symbol has another CRC since: what was built before is built again."""
    folder = world.add_source("versioned")
    name = b"init_module_needs\0".ljust(56, b"\0")
    versions = Section("__versions", (0x1234).to_bytes(8, "little") + name)
    info = Section(".modinfo", b"name=versioned\0")
    (folder / "versioned.bin").write_bytes(Object(sections=[info, versions]).bytes())
    table = world.install_tree / FIRST / "build/Module.symvers"
    table.write_text("0x00001234\tinit_module_needs\tvmlinux\tEXPORT_SYMBOL\t\n")
    dkms(world, "install", "versioned/1.0", "-k", FIRST)
    assert dkms(world, "autoinstall", "-k", FIRST).said == ""
    time.sleep(0.05)
    table.write_text("0x00005678\tinit_module_needs\tvmlinux\tEXPORT_SYMBOL\t\n")
    assert findings(world)["headers-changed"]["package"] == "versioned/1.0"
    said = dkms(world, "autoinstall", "-k", FIRST).said
    assert "have changed since versioned/1.0 was built" in said
    assert "succeeded for module(s) versioned." in said


KBUILD = """
obj-m += one.o \\
  sub/
obj-$(CONFIG_X) := two.o # three.o
"""


def test_a_conf_is_made_for_a_source_tree(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "thing-2.5"
    (folder / "sub").mkdir(parents=True)
    (folder / "Kbuild").write_text(
        "obj-m += one.o \\\n  sub/\nobj-$(CONFIG_X) := two.o # three.o\n"
    )
    (folder / "sub/Makefile").write_text("obj-m := inner.o\n")
    (folder / "one.c").write_text('MODULE_VERSION("2.5");\n')
    path = dkms(world, "new", str(folder)).said.strip()
    text = Path(path.replace("ROOT", str(world.root))).read_text()
    assert 'PACKAGE_NAME="thing"\nPACKAGE_VERSION="2.5"\n' in text
    assert 'BUILT_MODULE_LOCATION[1]="sub/"' in text
    dkms(world, "add", str(folder))
    dkms(world, "new", str(folder), status=2)
