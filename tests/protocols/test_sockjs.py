"""SockJS, on each host that carries HTTP."""

from typing import ClassVar

from unisock.testing.protocols import ProtocolSuite, Way

from .hypercorn_host import HypercornAdapter


class Sockjs(ProtocolSuite):
    protocol = "sockjs"
    scheme = "sockjs+http"
    # For clients that leave between two polls; with the default, each would take 5 seconds.
    options: ClassVar = {"disconnect_delay": 1500}
    ways: ClassVar = {
        "websocket": Way(options={"transports": ["websocket"]}),
        # A client that drops its request has left, so that one which vanished cannot be told apart.
        "xhr-streaming": Way(
            options={"transports": ["xhr-streaming"]}, close_to_server=False, heartbeat="none"
        ),
        "xhr-polling": Way(
            options={"transports": ["xhr-polling"]}, close_to_server=False, heartbeat="none"
        ),
    }


class TestOnTornado(Sockjs):
    host = "tornado"


class TestOnAiohttp(Sockjs):
    host = "aiohttp"


class TestOnAsgi(Sockjs):
    host = "asgi"
    backends = ("asyncio",)


class TestOnPicows(Sockjs):
    host = "picows"


class TestOnHypercorn(Sockjs):
    host = HypercornAdapter
