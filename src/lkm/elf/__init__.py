"""ELF files, which modules and kernel images both are: header, sections, symbols, notes."""
