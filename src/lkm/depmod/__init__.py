"""From the modules of a tree to its index files: walk, scan, order, output, publish."""
