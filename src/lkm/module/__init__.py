"""What a .ko is: bytes to frozen facts, without I/O."""
