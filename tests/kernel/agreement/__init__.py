"""Where two kernels of different make must answer alike."""
