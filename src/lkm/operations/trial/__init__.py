"""Try a module: load it in a kernel, report what happens, unload it, report what it leaves."""
