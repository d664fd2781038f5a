"""Packages unpacked below one folder, without root or installation: one file per format."""
