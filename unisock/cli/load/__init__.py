"""What `unisock bench` is made of: a load, what it measured, and how that looks."""
