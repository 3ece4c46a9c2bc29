"""The unisock adapter for Tornado."""
