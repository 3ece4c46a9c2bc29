"""The shipped conformance suite, on this adapter with its own server, which is uvicorn."""

from unisock.testing.adapters import AdapterSuite


class TestConformance(AdapterSuite):
    adapter = "asgi"
    backends = ("asyncio",)
