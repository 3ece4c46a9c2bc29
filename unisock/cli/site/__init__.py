"""What ``unisock check`` does with a URL: try what a client would, and name what is in the way."""
