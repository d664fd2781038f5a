"""Which routes there are, and by what name a worker knows what each asks for."""

from __future__ import annotations

RUNS = ("life", "way", "memory", "option", "signing", "secure-boot", "taint", "play", "fetch")
"""``POST /api/run/NAME``: an answer that is a stream of events, from a process of its own."""

ANSWERS = {
    "/api/state": ("GET", "state"),
    "/api/examples": ("GET", "examples"),
    "/api/way": ("GET", "way"),
    "/api/memory": ("GET", "memory"),
    "/api/options": ("GET", "options"),
    "/api/options/{name}": ("GET", "option"),
    "/api/boot": ("GET", "boot"),
    "/api/needs": ("GET", "needs"),
    "/api/needs/edge": ("GET", "edge"),
    "/api/needs/tree": ("GET", "tree"),
    "/api/rules": ("POST", "rules"),
    "/api/rules/examples": ("GET", "rules-examples"),
    "/api/taint": ("GET", "taint"),
    "/api/taint/decode": ("POST", "decode"),
    "/api/recorded": ("GET", "recorded"),
    "/api/recorded/{name}": ("GET", "recording"),
}
"""Paths that are answered at once: the method, and the question's name."""
