"""From a kernel image to a running machine: booting, snapshots, restoring."""
