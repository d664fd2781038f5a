"""What modules and kernel images have in common as ELF files: numbers, layouts, notes."""
