"""Error numbers as C libraries and tools word them."""

from __future__ import annotations

import errno as numbers
import os
import re

_WORDS = {os.strerror(number).lower(): number for number in numbers.errorcode} | {
    # kmod and busybox, for the errors of loading
    "invalid module format": numbers.ENOEXEC,
    "unknown symbol in module": numbers.ENOENT,
    "unknown symbol in module, or unknown parameter": numbers.ENOENT,
    "unknown symbol in module, or unknown parameter (see dmesg)": numbers.ENOENT,
    "invalid parameters": numbers.EINVAL,
    "module has wrong symbol version": numbers.ESRCH,
    "kernel does not have requested module": numbers.ENOENT,
    "module not found": numbers.ENOENT,
    # musl and uclibc
    "resource busy": numbers.EBUSY,
    "no such device or address": numbers.ENXIO,
    "not supported": numbers.EOPNOTSUPP,
    "out of memory": numbers.ENOMEM,
    "i/o error": numbers.EIO,
    "result not representable": numbers.ERANGE,
    "required key not available": numbers.ENOKEY,
    "key was rejected by service": numbers.EKEYREJECTED,
    "invalid cross-device link": numbers.EXDEV,
    "package not installed": numbers.ENOPKG,
    # translations of what is seen most
    "operation ist nicht erlaubt": numbers.EPERM,
    "die operation ist nicht erlaubt": numbers.EPERM,
    "fehler im format der programmdatei": numbers.ENOEXEC,
    "kein passendes gerät gefunden": numbers.ENODEV,
    "schlüssel wurde vom dienst abgelehnt": numbers.EKEYREJECTED,
    "datei oder verzeichnis nicht gefunden": numbers.ENOENT,
    "das argument ist ungültig": numbers.EINVAL,
    "opération non permise": numbers.EPERM,
    "aucun périphérique de ce type": numbers.ENODEV,
    "la clé a été rejetée par le service": numbers.EKEYREJECTED,
    "operación no permitida": numbers.EPERM,
    "no existe el dispositivo": numbers.ENODEV,
    "формат ошибочного исполняемого файла": numbers.ENOEXEC,
    "операция не позволена": numbers.EPERM,
    "不允许的操作": numbers.EPERM,
    "可执行文件格式错误": numbers.ENOEXEC,
    "没有那个设备": numbers.ENODEV,
}
_NUMBER = re.compile(r"(?:unknown error|errno:?|error:?|err|code)? ?\(?-?(\d{1,4})\)?$")


def number_of(words: str) -> int:
    """Return the error number that ``words`` stand for, 0 for none.

    ``Invalid module format (-1): Exec format error`` is read from its last part back.
    """
    text = words.strip().strip(".").lower()
    if text in _WORDS:
        return _WORDS[text]
    for part in (*reversed(text.split(": ")), text.partition(" (")[0]):
        plain = part.strip(" .")
        if plain in _WORDS:
            return _WORDS[plain]
        without = re.sub(r"\s?\(-?\d{1,5}\)$|^-\d{1,4} ", "", plain)
        if without in _WORDS:
            return _WORDS[without]
        if match := _NUMBER.match(plain):
            number = int(match[1])
            if number > 1 or plain != text:
                return number
    return 0
