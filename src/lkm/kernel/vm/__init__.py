"""A distribution kernel in QEMU, restored from a snapshot for each use."""
