"""What a kernel image is: bytes to frozen facts."""
