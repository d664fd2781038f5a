"""Watching a module run: entry points of functions, allocations, guarded memory, traces."""
