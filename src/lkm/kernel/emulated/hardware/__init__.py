"""What the kernel finds below it: processor, memory, clock, ports, firmware tables."""
