"""Which kernels are installed or fetched, choosing one, and fetching more from a distribution."""
