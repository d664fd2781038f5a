"""Measurements against the real peers, as ratios in the same run."""
