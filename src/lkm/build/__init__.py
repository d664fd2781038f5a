"""How a .ko comes to be."""
