"""The page: routes → operations → JSON and streams; the page itself is under ``ui``."""
