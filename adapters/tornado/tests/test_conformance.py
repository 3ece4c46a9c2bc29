"""The shipped conformance suite, on this adapter."""

from unisock.testing.adapters import AdapterSuite


class TestConformance(AdapterSuite):
    adapter = "tornado"
