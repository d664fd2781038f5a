"""Every cause the doctor knows, one function each: facts → Finding.

The gates call them with what they read from the module and the kernel; the log's rules with what
a message says. So a cause, its words and its fix are written once.
"""
