"""What a root directory says: its modules, their index files, its configuration, its kernels."""
