"""Whom kernels trust: keys, signatures, Machine Owner Keys, Secure Boot; one file per verb."""
