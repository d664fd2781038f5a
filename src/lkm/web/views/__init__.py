"""What a worker does for each of the page's views: a file a view; requests in, events out."""
