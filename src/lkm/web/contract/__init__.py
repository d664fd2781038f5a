"""What the page and its server say to each other: requests, answers, events (docs/web-api.md)."""
