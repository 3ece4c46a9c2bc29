"""The shipped conformance suite, on this adapter."""

from unisock.testing.adapters import AdapterSuite
from unisock_aiohttp import AiohttpAdapter


class TestConformance(AdapterSuite):
    adapter = AiohttpAdapter
