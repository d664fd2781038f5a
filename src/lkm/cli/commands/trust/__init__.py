"""The commands about keys, signatures and Secure Boot."""
