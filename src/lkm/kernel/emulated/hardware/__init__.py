"""The hardware below the kernel: processor, memory, clock, ports, firmware tables."""
