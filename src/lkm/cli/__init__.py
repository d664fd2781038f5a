"""Options → operations → text or JSON; one file per command."""
