"""Whom a kernel trusts: keys, PKCS#7, keyrings, MOK, Secure Boot state."""
