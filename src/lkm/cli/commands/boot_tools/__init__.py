"""The commands about what a kernel has before its root file system is mounted."""
