"""The real dkms beside ours: the same commands on two copies of a small world, and what differs."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from lkm import files
from lkm.kernels.distributions import apt_suites
from lkm.kernels.unpack import deb
from lkm.module.compression import decompress
from tests.support.elf_writer import Object, Section

SUITE = "trixie"
"""The suite whose dkms (3.2.2) is the oracle: a stable one, so that it stays what it is."""

KERNELS = ("6.1.0-1-test", "6.1.0-2-test")
NO_HEADERS = "6.1.0-3-test"
_TIME = re.compile(r"elapsed time: \d\d:\d\d:\d\d")
_USAGE = re.compile(r"^Usage: \S+( dkms)?(?= \[action)", re.MULTILINE)
_TEMPORARY = re.compile(r"/\.tmp_\w+?_\w{6,}")


@functools.cache
def real_dkms() -> Path:
    """Return the script of Debian's dkms, fetched once into lkm's cache."""
    folder = files.cache_directory("dkms-oracle", SUITE)
    script = folder / "usr/sbin/dkms"
    if not script.exists():
        options = apt_suites.options("amd64", SUITE)
        command = ["apt-get", *options, "download", "dkms"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        deb.unpack(folder.glob("dkms_*.deb"), folder)
    return script


def module(name: str, version: str = "", source: str = "") -> bytes:
    """Return a small module file whose ``.modinfo`` has these fields."""
    fields = {"version": version, "srcversion": source, "license": "GPL", "name": name}
    data = b"".join(f"{key}={value}\0".encode() for key, value in fields.items() if value)
    text = Section(".text", b"\x90" * 16)
    return Object(sections=[Section(".modinfo", data), text]).bytes()


class World:
    """A folder with sources, kernels and an empty DKMS tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dkms_tree = root / "var/lib/dkms"
        self.source_tree = root / "usr/src"
        self.install_tree = root / "lib/modules"
        for folder in (self.dkms_tree, self.source_tree, self.install_tree):
            folder.mkdir(parents=True)
        for kernel in KERNELS:
            self.add_kernel(kernel)
        (self.install_tree / NO_HEADERS / "kernel").mkdir(parents=True)

    def add_kernel(self, release: str, config: str = "", ending: str = "") -> Path:
        """Make a kernel with headers, such as a stub needs; modules are packed as ``ending``."""
        folder = self.install_tree / release
        (folder / "build/include/config").mkdir(parents=True)
        (folder / "kernel").mkdir()
        text = 'CONFIG_CC_VERSION_TEXT="gcc (Debian) 12"\nCONFIG_PCI=y\n' + config
        (folder / "build/include/config/auto.conf").write_text(text)
        if ending:
            (folder / f"kernel/own.ko{ending}").write_bytes(b"")
        return folder

    def add_source(
        self,
        name: str,
        version: str = "1.0",
        conf: str = "",
        *,
        modules: tuple[str, ...] = (),
        module_version: str = "",
        extra: dict[str, str] | None = None,
    ) -> Path:
        """Put a package's source into the source tree; its make copies modules made here."""
        folder = self.source_tree / f"{name}-{version}"
        folder.mkdir()
        names = modules or (name,)
        lines = [f'PACKAGE_NAME="{name}"', f'PACKAGE_VERSION="{version}"']
        for index, module_name in enumerate(names):
            lines.append(f'BUILT_MODULE_NAME[{index}]="{module_name}"')
            lines.append(f'DEST_MODULE_LOCATION[{index}]="/kernel/extra"')
            data = module(module_name, module_version, version.replace(".", ""))
            (folder / f"{module_name}.bin").write_bytes(data)
        copies = " && ".join(f"cp {n}.bin {n}.ko" for n in names)
        lines += [f'MAKE[0]="{copies}"', 'AUTOINSTALL="yes"', conf]
        (folder / "dkms.conf").write_text("\n".join(lines) + "\n")
        (folder / "Makefile").write_text("all:\n")
        for path, text in (extra or {}).items():
            target = folder / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
            target.chmod(0o755 if text.startswith("#!") else 0o644)
        return folder

    def files(self) -> dict[str, str]:
        """Return what is in the trees: path → what is there, without dates and times."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            for name in [*names, *folders]:
                path = Path(folder, name)
                place = _TEMPORARY.sub("/TMP", str(path.relative_to(self.root)))
                found[place] = self._described(path)
        return found

    def _described(self, path: Path) -> str:
        if path.is_symlink():
            return f"-> {os.readlink(path)}".replace(str(self.root), "ROOT")
        if path.is_dir():
            return "folder"
        if path.suffix in (".log", ".origin"):
            return self.neutral(path.read_text(), log=path.suffix == ".log")
        if path.suffix in (".tar", ".gz") and tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                return str(sorted((entry.name, entry.size) for entry in archive))
        data = decompress(path.read_bytes())  # gzip keeps a time
        return hashlib.sha256(data).hexdigest()

    def neutral(self, text: str, *, log: bool = False) -> str:
        """Return ``text`` without what is this world's alone."""
        text = text.replace(str(self.root), "ROOT")
        text = _USAGE.sub("Usage: dkms", text)
        if log:
            text = _TIME.sub("elapsed time", text)
            lines = text.splitlines()
            lines[:2] = [re.sub(r"dkms-[\d.]+", "dkms", line) for line in lines[:1]]
            text = "\n".join(lines)
        return _TEMPORARY.sub("/TMP", text)


@dataclass(frozen=True)
class Outcome:
    """What one command did: its status, what it said on both streams, the trees afterwards."""

    command: tuple[str, ...]
    status: int
    said: str
    files: dict[str, str]


class Pair:
    """Two worlds of equal content, one for each program."""

    def __init__(self, folder: Path) -> None:
        self.theirs = World(folder / "theirs")
        self.ours = World(folder / "ourss")

    def source(self, *arguments: object, **named: object) -> None:
        """Add the same source to both (see ``World.add_source``)."""
        for world in (self.theirs, self.ours):
            world.add_source(*arguments, **named)  # type: ignore[arg-type]

    def each(self, change: object) -> None:
        """Do the same to both worlds."""
        for world in (self.theirs, self.ours):
            change(world)  # type: ignore[operator]

    def run(self, *words: str, timeout: float = 120) -> tuple[Outcome, Outcome]:
        """Run a command in both; return what the real one did, then ours."""
        theirs = run(["bash", str(real_dkms())], self.theirs, words, timeout)
        ours = run([sys.executable, "-m", "lkm", "dkms"], self.ours, words, timeout)
        return theirs, ours

    def agree(self, *words: str) -> Outcome:
        """Run a command in both and hold status, words and trees against each other."""
        theirs, ours = self.run(*words)
        assert ours.status == theirs.status, (words, theirs.said, ours.said)
        assert ours.said == theirs.said, words
        assert ours.files == theirs.files, words
        return ours


def run(program: list[str], world: World, words: tuple[str, ...], timeout: float = 120) -> Outcome:
    """Run one command in a world."""
    trees = ["--dkmstree", str(world.dkms_tree), "--sourcetree", str(world.source_tree)]
    trees += ["--installtree", str(world.install_tree)]
    env = {**os.environ, "parallel_jobs": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    command = [*program, *(word.replace("ROOT", str(world.root)) for word in words), *trees]
    done = subprocess.run(
        command,
        cwd=world.root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    said = world.neutral(done.stdout.decode())
    return Outcome(words, done.returncode, said, world.files())


def missing() -> str:
    """Return why the real dkms cannot be run here, with what helps; empty when it can."""
    if os.geteuid() != 0:
        return "dkms installs as root only: run the tests as root"
    for program in ("patch", "openssl", "apt-get"):
        if not shutil.which(program):
            return f"{program} is missing: tools/packages installs it"
    return ""
