"""Kernel images: bytes to frozen facts."""
