"""What runs modules: one ``Kernel`` over three ways to make a system call."""
