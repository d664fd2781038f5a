"""DKMS's job: build the modules of packages for each kernel, install them, and keep them so.

A drop-in for dkms 3.4.3: the same tree, files, messages and exit statuses. What is said is handed
to a ``Reporter``; nothing here prints.
"""
