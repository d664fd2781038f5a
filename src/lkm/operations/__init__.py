"""One file per verb of the user; they take and return values and never print."""
