"""The signature appended to a module: read, strip, append.

A signed module is ``ELF | signature | struct module_signature (12 bytes) | MARKER``. Source:
``include/linux/module_signature.h``, ``kernel/module_signature.c: mod_check_sig``,
``kernel/module/signing.c: module_sig_check``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lkm.elf.source import ByteSource, BytesSource
from lkm.errors import FormatError

MARKER = b"~Module signature appended~\n"
ID_PKCS7 = 2

# algo, hash, id_type, signer_len, key_id_len, three bytes of padding, sig_len (big-endian)
_TRAILER = struct.Struct(">BBBBB3sI")


@dataclass(frozen=True, slots=True)
class Signature:
    """An appended signature: its bytes, its place and the trailer's fields.

    ``content_length`` is the number of bytes that were signed (the unsigned module), ``blob`` the
    signature itself (DER of a PKCS#7 message when ``id_type`` is ``ID_PKCS7``). ``signer`` and
    ``key_id`` are empty but in signatures older than Linux 4.3.
    """

    content_length: int
    blob: bytes
    id_type: int = ID_PKCS7
    algo: int = 0
    hash: int = 0
    signer: bytes = b""
    key_id: bytes = b""
    padding: bytes = bytes(3)

    @property
    def is_pkcs7(self) -> bool:
        """Whether the kernel takes it for a PKCS#7 signature (ENOPKG otherwise)."""
        return self.id_type == ID_PKCS7

    @property
    def is_clean(self) -> bool:
        """Whether all fields a PKCS#7 trailer leaves zero are zero (EBADMSG otherwise)."""
        return not (self.algo or self.hash or self.signer or self.key_id or any(self.padding))


def read(data: bytes, path: str = "") -> Signature | None:
    """Return the signature appended to the module ``data``, ``None`` when there is no marker.

    Raises ``FormatError`` where the lengths in the trailer do not fit the file, which the kernel
    refuses with EBADMSG.
    """
    return read_source(BytesSource(data, path))


def read_source(source: ByteSource) -> Signature | None:
    """Return what ``read`` does, reading only the end of ``source``."""
    trailer = source.size - len(MARKER) - _TRAILER.size
    if source.size < len(MARKER) or source.read(source.size - len(MARKER), len(MARKER)) != MARKER:
        return None
    if trailer < 0:
        raise FormatError(
            f"{_TRAILER.size} bytes before the signature marker",
            f"{trailer + _TRAILER.size}",
            path=source.path,
            offset=0,
            hint="the file is cut off at its start: copy or build the module again",
        )
    algo, hash_, id_type, signer, key_id, padding, size = _TRAILER.unpack(
        source.read(trailer, _TRAILER.size)
    )
    content = trailer - size - signer - key_id
    if content < 0:
        raise FormatError(
            f"a signature of at most {trailer} bytes",
            f"a length of {size + signer + key_id}",
            path=source.path,
            offset=trailer,
            hint="the signature is damaged: build the module again, or sign it again",
        )
    data = source.read(content, trailer - content)
    return Signature(
        content,
        data[signer + key_id :],
        id_type,
        algo,
        hash_,
        data[:signer],
        data[signer : signer + key_id],
        padding,
    )


def strip(data: bytes, path: str = "") -> bytes:
    """Return the module ``data`` as it was before it was signed (the same when it is not).

    Raises ``FormatError`` as ``read`` does.
    """
    signature = read(data, path)
    return data if signature is None else data[: signature.content_length]


def append(data: bytes, blob: bytes, path: str = "") -> bytes:
    """Return the module ``data`` with the PKCS#7 signature ``blob`` in place of any it had."""
    trailer = _TRAILER.pack(0, 0, ID_PKCS7, 0, 0, bytes(3), len(blob))
    return b"".join((strip(data, path), blob, trailer, MARKER))
