"""Server-sent events, on each host that carries HTTP: with an address to post to, and without."""

from typing import ClassVar

from unisock.testing.protocols import ProtocolSuite, Way

from .hypercorn_host import HypercornAdapter


class Eventsource(ProtocolSuite):
    protocol = "eventsource"
    scheme = "sse+http"
    quick: ClassVar = {"ping": 0.1}
    many = 200
    ways: ClassVar = {
        # A client that ends its request has left: that is all that it can say.
        "eventsource": Way(endpoint={"post": True}, close_to_server=False, heartbeat="none"),
    }


class TestOnTornado(Eventsource):
    host = "tornado"


class TestOneWay(Eventsource):
    host = "tornado"
    ways: ClassVar = {"eventsource": Way(two_way=False, close_to_server=False, heartbeat="none")}


class TestOnAiohttp(Eventsource):
    host = "aiohttp"


class TestOnAsgi(Eventsource):
    host = "asgi"
    backends = ("asyncio",)


class TestOnPicows(Eventsource):
    host = "picows"


class TestOnHypercorn(Eventsource):
    host = HypercornAdapter
