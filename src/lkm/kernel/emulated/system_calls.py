"""The x86-64 system calls that the Python user space makes.

Source: ``arch/x86/entry/syscalls/syscall_64.tbl``; the numbers are ABI and never change.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Number(enum.IntEnum):
    """System call numbers."""

    READ = 0
    WRITE = 1
    OPEN = 2
    CLOSE = 3
    LSEEK = 8
    MMAP = 9
    MUNMAP = 11
    RT_SIGPROCMASK = 14
    IOCTL = 16
    NANOSLEEP = 35
    GETPID = 39
    SOCKET = 41
    BIND = 49
    CLONE = 56
    WAIT4 = 61
    KILL = 62
    MKDIR = 83
    UNLINK = 87
    READLINK = 89
    SYSLOG = 103
    RT_SIGTIMEDWAIT = 128
    MOUNT = 165
    UMOUNT2 = 166
    INIT_MODULE = 175
    DELETE_MODULE = 176
    GETDENTS64 = 217
    EXIT_GROUP = 231
    NEWFSTATAT = 262
    FINIT_MODULE = 313


@dataclass(frozen=True, slots=True)
class Call:
    """A system call a task is to make."""

    number: Number
    arguments: tuple[int, ...] = ()


AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
PROT_READ_WRITE = 3
MAP_PRIVATE_ANONYMOUS_POPULATE = 0x8022
MAP_LOCKED = 0x2000
CLONE_SHARING = 0x100 | 0x200 | 0x400  # CLONE_VM, CLONE_FS, CLONE_FILES
SIGKILL, SIGCHLD = 9, 17
SIG_BLOCK = 0
WNOHANG, WALL = 1, 0x40000000
ERRNO_MAX = 4095
