"""Module files: bytes to frozen facts; reading parts of a file is all the I/O there is."""
