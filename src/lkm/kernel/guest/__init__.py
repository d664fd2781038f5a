"""The programs that run inside a virtual machine, and what they and their host agree on."""
