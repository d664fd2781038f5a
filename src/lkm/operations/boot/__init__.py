"""What is there before the root file system: initramfs images and options; one file per verb."""
