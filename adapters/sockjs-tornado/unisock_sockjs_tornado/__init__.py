"""The unisock adapter for sockjs-tornado."""
