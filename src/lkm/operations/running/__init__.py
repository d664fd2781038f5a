"""The modules of a running kernel: load, unload, show, set; one file per verb."""
