"""One file per command: its name is the file's, its summary the docstring's first line."""
