"""What the page and its server say to each other: requests, answers, events; see ui/API.md."""
