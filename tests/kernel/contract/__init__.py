"""What every kernel does alike, whoever makes its system calls."""
