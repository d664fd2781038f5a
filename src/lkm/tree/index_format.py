"""The numbers of the ``modules.*.bin`` format: kmod's ``libkmod/libkmod-index.c``."""

MAGIC = 0xB007F457
VERSION = 0x0002_0001
HEADER_SIZE = 12

HAS_PREFIX = 0x8000_0000
HAS_VALUES = 0x4000_0000
HAS_CHILDREN = 0x2000_0000
ADDRESS = 0x0FFF_FFFF
