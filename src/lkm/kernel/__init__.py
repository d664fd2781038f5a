"""Kernels that run modules: one ``Kernel`` class over three ways to make a system call."""
