"""What a kernel prints of itself when something is wrong, on every architecture: text to facts."""
