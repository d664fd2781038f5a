"""The file is not a module this kernel can read.

Source: ``kernel/module/main.c`` (elf_validity_check, setup_load_info; since 6.9 elf_validity_*).
"""

from __future__ import annotations

import shlex
from errno import EINVAL, ENOENT, ENOEXEC

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity
from lkm.elf.machine import label

_UNPACK = {"gzip": "gunzip", "xz": "unxz", "zstd": "unzstd --rm"}


def get_again(module: str, path: str = "") -> Fix:
    """Return the fix for a damaged file: the package's copy, or a fresh build."""
    place = shlex.quote(path) if path else f'"$(modinfo -n {module or "MODULE"})"'
    return Fix(
        "get the file again: reinstall the package that owns it, or build it again",
        (),
        Need.REINSTALL,
        place,
    )


def file_missing(path: str) -> Finding:
    """No such file."""
    return Finding(
        "file-missing",
        Severity.FATAL,
        f"there is no file {path}",
        ENOENT,
        subject=path,
        fixes=(Fix("give the path of a .ko file, or a module's name", ("lkm doctor NAME",)),),
    )


def empty_file(path: str) -> Finding:
    """A file of no bytes: kernel_read_file answers EINVAL and logs nothing."""
    return Finding(
        "empty-file",
        Severity.FATAL,
        "the file is empty",
        EINVAL,
        subject=path,
        evidence=(Evidence("size", "0 bytes", path),),
        fixes=(get_again("", path),),
    )


def not_elf(path: str, start: bytes = b"", compression: str = "") -> Finding:
    """It does not start with the ELF magic: text, another format, or compressed."""
    evidence = [Evidence("first bytes", start[:16].hex(" "), path)] if start else []
    if compression:
        cause = f"the file is {compression}-compressed and was given to the kernel as it is"
        fix = Fix(
            "let modprobe unpack it, or unpack it first",
            (f"{_UNPACK.get(compression, 'unxz')} {shlex.quote(path)}",),
        )
    else:
        cause = "the file is not an ELF file: it is no module, or it is compressed"
        fix = get_again("", path)
    return Finding(
        "not-elf",
        Severity.FATAL,
        cause,
        ENOEXEC,
        "Invalid ELF header magic: != \x7fELF",
        subject=path,
        evidence=tuple(evidence),
        fixes=(fix,),
    )


def damaged(message: str, path: str, what: str, *evidence: Evidence) -> Finding:
    """The ELF structure contradicts itself or ends too soon; ``message`` is the kernel's."""
    return Finding(
        "damaged-file",
        Severity.FATAL,
        f"the file is cut short or damaged: {what}",
        ENOEXEC,
        message,
        subject=path,
        evidence=evidence,
        fixes=(get_again("", path),),
    )


def wrong_type(elf_type: int, path: str = "") -> Finding:
    """An ELF file that is no relocatable object: a program or a shared library."""
    return Finding(
        "not-relocatable",
        Severity.FATAL,
        "the file is an ELF file but no module: a program or a shared library",
        ENOEXEC,
        f"Invalid ELF header type: {elf_type} != 1",
        subject=path,
        evidence=(Evidence("ELF type", f"{elf_type}, a module is 1 (ET_REL)", path),),
        fixes=(Fix("give the .ko file that kbuild wrote"),),
    )


def wrong_machine(machine: int, target: int = 0, path: str = "") -> Finding:
    """Built for another processor."""
    name = label(machine)
    evidence = [Evidence("the module is for", name, path)]
    if target:
        evidence.append(Evidence("the kernel runs on", label(target)))
    return Finding(
        "wrong-machine",
        Severity.FATAL,
        f"the module was built for another processor: {name}",
        ENOEXEC,
        f"Invalid architecture in ELF header: {machine}",
        subject=path,
        evidence=tuple(evidence),
        fixes=(Fix("take the module built for this machine, or build it on it"),),
    )


def stripped(module: str, path: str = "") -> Finding:
    """Its symbol table is gone: ``strip`` without options does that."""
    return Finding(
        "stripped",
        Severity.FATAL,
        "the module's symbol table was stripped, and the kernel cannot link without it",
        ENOEXEC,
        f"{module or '(missing .modinfo section or name field)'}: "
        "module has no symbols (stripped?)",
        module=module,
        subject=path,
        fixes=(
            Fix(
                "build it again, and take away only debug data",
                ("make modules_install INSTALL_MOD_STRIP=1", "strip --strip-debug MODULE.ko"),
            ),
        ),
    )


def no_this_module(module: str, message: str, path: str = "") -> Finding:
    """An object file that modpost never finished: a .o, or linked by hand."""
    return Finding(
        "no-this-module",
        Severity.FATAL,
        "the file is an object that kbuild did not finish: it has no struct module",
        ENOEXEC,
        message,
        module=module,
        subject=path,
        fixes=(Fix("build it with kbuild, and load the .ko, not the .o"),),
    )
