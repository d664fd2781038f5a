"""A root directory's module indexes and configuration, and resolving a name in them to a plan."""
