"""The unisock adapter for the `websockets` library."""
