"""The commands the doctor prints are carried out as they stand, and then the module loads.

`sudo` and the paths of this machine aside, nothing is changed in them: shell commands run in a
shell, those of kmod on the emulated kernel.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm import files
from lkm.doctor.finding import Finding
from lkm.errors import KernelError, NotFoundError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.module import signature
from lkm.operations import doctor, targets
from lkm.operations.explanation import first_finding
from lkm.operations.log_explanation import explain_log
from tests.doctor import mutations, reality
from tests.doctor.mutations import Module
from tests.doctor.test_rows import field, stripped, tampered, trailer, wrong_crc
from tests.support.kernels import kernel_files
from tests.support.modules import SOURCES, built

FILES = kernel_files()


@pytest.fixture(scope="module")
def shared() -> Iterator[Kernel]:
    with Kernel(open_machine(FILES.vmlinuz)) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    shared.syscalls.rewind()  # type: ignore[attr-defined]
    return shared


def refusal(kernel: Kernel, path: Path, parameters: str = "") -> Finding:
    """Load the very bytes, as insmod does; return the first finding of what must go wrong."""
    case = mutations.Case("", "", path, path.read_bytes(), parameters=parameters)
    happened = reality.load(case, kernel)
    assert happened.errno, f"{path} loads"
    return first_finding(kernel, str(path), parameters, errno=happened.errno, lines=happened.log)


def carry_out(finding: Finding, kernel: Kernel, which: int = 0) -> None:
    """Run the commands of one of the finding's fixes, in order."""
    commands = finding.fixes[which].commands
    assert commands, finding
    for command in commands:
        words = shlex.split(command)
        if words[0] == "sudo":
            words = words[1:]
        if words[0] == "apt-get":  # the headers are here already
            assert words[1] == "install"
        elif words[0] == "modprobe" and "-r" not in words:
            load(words[-1], kernel)
        elif words[0] in ("rmmod", "modprobe"):
            for name in words[1:]:
                if name != "-r":
                    kernel.unload(name)
        else:
            shell(command.removeprefix("sudo "))


def load(name: str, kernel: Kernel) -> None:
    """What ``modprobe NAME`` does, from this kernel's tree and our own modules."""
    known = reality.tree(FILES).modules
    path = Path(known[name]) if name in known else built(name)
    for needed in reality.needs(path, FILES) if name in known else ():
        if not kernel.is_loaded(needed.name.partition(".")[0]):
            kernel.load(needed)
    kernel.load(path)


def shell(command: str) -> None:
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    # the headers may be in the cache rather than installed
    command = command.replace(f" /lib/modules/{FILES.release}/build", f" {FILES.headers}")
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def project(folder: Path, name: str, *, source: str = "") -> Path:
    """Write a module of ours with its Kbuild, as its author has it; return where its .ko goes."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.c").write_text(source or (SOURCES / f"{name}.c").read_text())
    (folder / "exporter.h").write_text((SOURCES / "exporter.h").read_text())
    (folder / "Kbuild").write_text(f"obj-m += {name}.o\n")
    return folder / f"{name}.ko"


def test_a_packed_file_is_unpacked(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "hello.ko.gz"
    path.write_bytes(gzip.compress(built("hello").read_bytes()))
    finding = refusal(kernel, path)
    # as the kernel saw it; lkm's own loading unpacks
    raw = mutations.Case("", "", path, path.read_bytes())
    prediction = reality.predict(raw, targets.of_running(kernel).target)
    assert prediction.decisive is not None
    assert prediction.decisive.name == "not-elf"
    assert finding.errno == prediction.errno
    carry_out(prediction.decisive, kernel)
    kernel.load(tmp_path / "hello.ko")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: field("hello", "vermagic", "6.1.0-56-amd64 SMP "), id="vermagic"),
        pytest.param(lambda: wrong_crc("hello", "module_layout"), id="module_layout"),
        pytest.param(lambda: wrong_crc("hello", "_printk"), id="crc"),
    ],
)
def test_a_module_of_another_kernel_is_built_again(make, kernel: Kernel, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = project(tmp_path / "p", "hello")
    path.write_bytes(make())
    carry_out(refusal(kernel, path), kernel)
    kernel.load(path)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: trailer(8, b"\xff\xff\xff\xff"), id="length"),
        pytest.param(lambda: trailer(0, b"\1"), id="fields"),
    ],
)
def test_a_broken_signature_is_taken_off(make, kernel: Kernel, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "hello.ko"
    path.write_bytes(make())
    finding = refusal(kernel, path)
    assert finding.name == "signature-broken"
    carry_out(finding, kernel)
    kernel.load(path)


def test_a_dead_signature_is_taken_off(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "loop.ko"
    path.write_bytes(tampered())
    carry_out(refusal(kernel, path), kernel)
    assert signature.read(path.read_bytes()) is None
    kernel.load(path)


def test_what_it_needs_is_loaded_first(kernel: Kernel) -> None:
    path = Path(reality.tree(FILES).modules["vfat"])
    finding = refusal(kernel, path)
    assert (finding.name, finding.subject) == ("dependency-not-loaded", finding.subject)
    carry_out(finding, kernel)
    kernel.load(path)


def test_the_loaded_one_is_unloaded_first(kernel: Kernel) -> None:
    kernel.load(built("hello"))
    carry_out(refusal(kernel, built("hello")), kernel)
    kernel.load(built("hello"))


def test_who_has_the_symbol_is_unloaded_first(kernel: Kernel, tmp_path: Path) -> None:
    kernel.load(built("exporter"))
    path = tmp_path / "exporter.ko"
    path.write_bytes(bytes(mutations._renamed(Module(built("exporter")))))
    finding = refusal(kernel, path)
    assert finding.name == "duplicate-symbol"
    carry_out(finding, kernel)
    kernel.load(path)


def test_users_are_unloaded_first(kernel: Kernel) -> None:
    from lkm.operations.running.users import users_in

    kernel.load(built("exporter"))
    kernel.load(built("importer"))
    carry_out(users_in(kernel, "exporter"), kernel)
    assert kernel.modules() == ()


def test_the_namespace_is_imported(kernel: Kernel, tmp_path: Path) -> None:
    """The fix is a line of source: put there, and built as the other fixes say."""
    kernel.load(built("exporter"))
    source = (SOURCES / "importer.c").read_text().replace("MODULE_IMPORT_NS(LKM_TEST);\n", "")
    path = project(tmp_path / "p", "importer", source=source)
    with pytest.raises(AssertionError) as failed:
        build(path)  # modpost sees it before the kernel can
    told = explain_log(str(failed.value))[0].finding
    assert told.name == "namespace"
    line = re.search(r"MODULE_IMPORT_NS\(\w+\);", told.fixes[0].text)
    assert line is not None
    path.with_suffix(".c").write_text(f"{source}{line[0]}\n")
    build(path)
    kernel.load(path)


def test_the_licence_is_stated(kernel: Kernel, tmp_path: Path) -> None:
    kernel.load(built("exporter"))
    path = project(tmp_path / "p", "importer")
    build(path)
    data = bytearray(path.read_bytes())
    place = mutations._field(data, "license")
    assert place is not None
    assert mutations._put(data, place, "X")
    path.write_bytes(data)
    finding = refusal(kernel, path)
    assert finding.name == "gpl-only-symbol"
    assert 'MODULE_LICENSE("GPL");' in finding.fixes[0].text
    build(path)  # its source says so
    kernel.load(path)


def build(path: Path) -> None:
    path.unlink(missing_ok=True)
    shell(
        f"make -C {FILES.headers} M={path.parent} KBUILD_MODPOST_WARN=1 "
        f"KBUILD_EXTRA_SYMBOLS={built('exporter').parent}/Module.symvers modules"
    )


def test_a_stripped_module_is_built_again(kernel: Kernel, tmp_path: Path) -> None:
    path = project(tmp_path / "p", "hello")
    path.write_bytes(stripped())
    finding = refusal(kernel, path)
    assert finding.name == "stripped"
    build(path)
    (strip,) = (c for c in finding.fixes[0].commands if c.startswith("strip"))
    shell(strip.replace("MODULE.ko", str(path)))
    kernel.load(path)


def test_the_btf_is_left_away(kernel: Kernel, tmp_path: Path) -> None:
    """Its fix may be used though this kernel would only warn."""
    from lkm.doctor.causes import version

    path = tmp_path / "params.ko"
    path.write_bytes(signature.strip(Path(reality.tree(FILES).modules["loop"]).read_bytes()))
    command = version.btf("loop").fixes[1].commands[0].replace("loop.ko", str(path))
    shell(command)
    kernel.load(path)


def test_the_index_is_written(kernel: Kernel, tmp_path: Path) -> None:
    """A file that depmod has not seen: modprobe does not find it until it has."""
    folder = tmp_path / "lib/modules" / FILES.release
    (folder / "kernel").mkdir(parents=True)
    (folder / "modules.order").write_text("")
    (folder / "modules.builtin").write_text("")
    shell(f"depmod -b {tmp_path} {FILES.release}")
    (folder / "kernel/hello.ko").write_bytes(built("hello").read_bytes())
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/vmlinuz-{FILES.release}").symlink_to(FILES.vmlinuz)
    where = targets.Where(root=str(tmp_path), release=FILES.release)
    before = doctor.examine("hello", (), targets.open_target(where))
    assert before.decisive is not None
    assert before.decisive.name == "not-indexed"
    (command,) = before.decisive.fixes[0].commands
    shell(command.removeprefix("sudo ").replace("depmod", f"depmod -b {tmp_path}"))
    after = doctor.examine("hello", (), targets.open_target(where))
    assert after.loads
    kernel.load(after.steps[-1].path)


def test_a_module_signed_as_told_is_taken_for_signed(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the reboot that enrols the key: the refusal is no longer for want of a signature."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(files.cache_directory().parent))
    monkeypatch.setenv("HOME", str(tmp_path))  # where the keys are put
    path = tmp_path / "hello.ko"
    path.write_bytes(built("hello").read_bytes())
    with Kernel(open_machine(FILES.vmlinuz, command_line="module.sig_enforce=1")) as strict:
        finding = refusal(strict, path)
        assert finding.name == "signature-unsigned"
        *make_and_sign, enrol = finding.fixes[0].commands
        for command in make_and_sign:
            shell(command)
        assert "lkm mok enroll" in enrol
        assert Path(enrol.split()[-1].replace("~", str(tmp_path))).is_file()
        assert refusal(strict, path).name == "signature-unavailable"
        with pytest.raises(KernelError):
            strict.load(path)
    kernel.load(path)


def test_a_fix_names_the_file_where_only_the_log_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "of_running", lambda _kernel: raising())

    def raising() -> targets.Opened:
        raise NotFoundError("no kernel image here")

    path = tmp_path / "my module.ko"
    path.write_bytes(built("hello").read_bytes())
    with Kernel(open_machine(FILES.vmlinuz, command_line="module.sig_enforce=1")) as strict:
        finding = refusal(strict, path)
    assert finding.name == "signature-unsigned"
    assert f"lkm sign '{path}' --key" in finding.fixes[0].commands[1]
