"""The kmod tools: their options, their output, their exit status."""
