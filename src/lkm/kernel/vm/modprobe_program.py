"""The program that the guest's kernel executes as modprobe (see ``lkm.kernel.guest.modprobe``)."""

from __future__ import annotations

import socket
import struct

from lkm.kernel import small_elf
from lkm.kernel.guest.interface import MODPROBE_ADDRESS

_SOCKET, _CONNECT, _EXIT_GROUP = 41, 42, 231  # arch/x86/entry/syscalls/syscall_64.tbl
_SYSCALL = b"\x0f\x05"
_CODE_SIZE = 60


def modprobe_program() -> bytes:
    """Return the program: connect, read one byte, exit with it; with 1 when nobody answers."""
    address = struct.pack("<H", socket.AF_UNIX) + MODPROBE_ADDRESS.encode()
    code = b"".join(
        (
            b"\xb8" + _number(_SOCKET),  # mov eax, SYS_socket
            b"\xbf" + _number(socket.AF_UNIX),  # mov edi, AF_UNIX
            b"\xbe" + _number(socket.SOCK_STREAM),  # mov esi, SOCK_STREAM
            b"\x31\xd2" + _SYSCALL,  # xor edx, edx
            b"\x89\xc7",  # mov edi, eax
            b"\xb8" + _number(_CONNECT),  # mov eax, SYS_connect
            b"\xbe" + _number(small_elf.CODE + _CODE_SIZE),  # mov esi, address
            b"\xba" + _number(len(address)) + _SYSCALL,  # mov edx, its length
            b"\x31\xc0",  # xor eax, eax: SYS_read; edi is still the socket
            b"\x6a\x01",  # push 1: the status unless another is read
            b"\x48\x89\xe6",  # mov rsi, rsp
            b"\xba" + _number(1) + _SYSCALL,  # mov edx, 1
            b"\x5f",  # pop rdi
            b"\xb8" + _number(_EXIT_GROUP) + _SYSCALL,  # mov eax, SYS_exit_group
        )
    )
    assert len(code) == _CODE_SIZE
    return small_elf.program(code + address)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
