"""The parts of `unisock.testing.adapters.AdapterSuite`, by subject."""
