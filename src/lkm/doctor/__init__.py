"""Why it fails: gates in the kernel's order, and the reading of what a kernel said."""
