"""What must be there before the root file system: initramfs images, needs of a root, options."""
