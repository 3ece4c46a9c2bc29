"""Plain WebSockets, on each host that accepts them."""

from typing import ClassVar

from unisock.testing.protocols import ProtocolSuite, Way

from .hypercorn_host import HypercornAdapter


class Websocket(ProtocolSuite):
    protocol = "websocket"
    scheme = "ws"
    ways: ClassVar = {"websocket": Way()}


class TestOnWebsockets(Websocket):
    host = "websockets"


class TestOnTornado(Websocket):
    host = "tornado"


class TestOnAiohttp(Websocket):
    host = "aiohttp"


class TestOnAsgi(Websocket):
    host = "asgi"
    backends = ("asyncio",)


class TestOnPicows(Websocket):
    host = "picows"


class TestOnHypercorn(Websocket):
    host = HypercornAdapter
