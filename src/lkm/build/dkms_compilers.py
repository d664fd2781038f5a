"""The compiler a kernel was built with, for the modules built for it.

Source: dkms's ``do_build``, Debian's ``.kernelvariables``.
"""

from __future__ import annotations

import os
import subprocess

from lkm.build.dkms_conf import config_lines

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_kernel import KernelTree


def compiler_variables(kernel: KernelTree) -> dict[str, str]:
    """Return what goes into the environment of a build: CC, KERNEL_CC, LD, KERNEL_LD, LLVM.

    A compiler that is not here is left out: kbuild then says itself what is wrong.
    """
    lines = config_lines(kernel.config)
    found: dict[str, str] = {}
    named = kernel.option("CONFIG_CC_VERSION_TEXT").partition(" ")
    compiler = named[0] if named[1] else ""
    if "CONFIG_CC_IS_CLANG=y" in lines and is_here("clang"):
        compiler = "clang"
        found["LLVM"] = "1"
    if compiler and is_here(compiler):
        found["CC"] = found["KERNEL_CC"] = compiler
    elif os.path.isfile(f"{kernel.headers}/.kernelvariables"):
        found["CC"] = _kernel_variable(kernel.headers, "CC")
    if "CONFIG_LD_IS_LLD=y" in lines and is_here("ld.lld"):
        found["LD"] = found["KERNEL_LD"] = "ld.lld"
    return {name: value for name, value in found.items() if value}


def is_here(program: str) -> bool:
    """Say whether a program is in PATH."""
    if "/" in program:
        return os.access(program, os.X_OK)
    folders = os.environ.get("PATH", os.defpath).split(":")
    return any(
        os.access(f"{folder}/{program}", os.X_OK) and os.path.isfile(f"{folder}/{program}")
        for folder in folders
    )


def _kernel_variable(headers: str, name: str) -> str:
    makefile = f"show:\n\t@echo $({name})\ninclude {headers}/.kernelvariables\n"
    try:
        done = subprocess.run(
            ["make", "-s", "-f", "-", "show"],
            input=makefile.encode(),
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return os.fsdecode(done.stdout).strip()
