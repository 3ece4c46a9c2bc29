"""The memory adapter passes the suite for adapters."""

from unisock.testing.adapters import AdapterSuite


class TestConformance(AdapterSuite):
    adapter = "memory"
