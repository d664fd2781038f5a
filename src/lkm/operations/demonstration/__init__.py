"""Loads made to happen on purpose and watched: failures, taint, signatures, the way of each."""
