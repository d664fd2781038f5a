"""What one does with the modules of a running kernel: one file per verb."""
