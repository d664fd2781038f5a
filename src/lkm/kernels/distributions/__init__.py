"""The package tools that kernels are fetched with: one file each, behind one protocol."""
