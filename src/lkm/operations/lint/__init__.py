"""Check modprobe.d and modules-load.d for what does not do what it seems to."""
