"""The adapter conformance suite."""

from unisock.testing.adapters import AdapterSuite


class TestWebsockets(AdapterSuite):
    adapter = "websockets"
