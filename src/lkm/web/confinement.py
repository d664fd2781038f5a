"""What the workers may reach: the files they need to build and to run a kernel, no others."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from lkm import files, landlock
from lkm.web import limits

_PR_SET_PDEATHSIG = 1
_LARGEST_FILE = 1 << 30
_MOST_FILES = 512

# No home, and of /etc and /proc single files only. /proc/self is the worker's own directory.
_READ = (
    *("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/boot", "/opt/rh"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/localtime", "/etc/os-release", "/etc/debian_version"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems"),
    *("/proc/sys/kernel", "/proc/sys/vm", "/proc/version", "/dev/urandom", "/dev/random"),
    *("/dev/zero", "/sys/devices/system", "/sys/fs/cgroup"),
)
_CACHES = ("build", "exports", "emulated", "depmod", "vmlinux")
"""Of lkm's caches what building and running write; keys kept for rehearsals are not among them."""


def confine(folder: Path, examples: Path) -> int:
    """Confine this process: writing in its folder and lkm's caches only; return the ABI."""
    caches = [files.cache_directory(name) for name in _CACHES]
    python = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path)]
    return landlock.confine(
        read=[*_READ, *python, examples, files.cache_directory("kernels")],
        write=[*caches, folder, "/dev/null"],
    )


def limit(view: str) -> None:
    """Take away what no run needs, should the server not be there to look."""
    seconds = int(limits.of(view).processor_seconds)
    for what, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        resource.setrlimit(what, (value, value))


def die_with_parent() -> None:
    """Have the kernel kill this process when the server is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        sys.exit(1)  # it was gone before
