"""Engine.IO, revision 4, on each host that carries HTTP."""

from typing import ClassVar

from unisock.testing.protocols import ProtocolSuite, Way

from .hypercorn_host import HypercornAdapter


class Engineio(ProtocolSuite):
    protocol = "engineio"
    scheme = "engineio+http"
    ways: ClassVar = {
        # A packet that ends a session has no room for a code.
        "polling": Way(
            options={"transports": ["polling"]},
            close_to_client=False,
            close_to_server=False,
            heartbeat="protocol",
        ),
        "websocket": Way(options={"transports": ["websocket"]}, heartbeat="protocol"),
        "upgrade": Way(transport="websocket", upgrades=True, heartbeat="protocol"),
    }


class TestOnTornado(Engineio):
    host = "tornado"


class TestOnAiohttp(Engineio):
    host = "aiohttp"


class TestOnAsgi(Engineio):
    host = "asgi"
    backends = ("asyncio",)


class TestOnPicows(Engineio):
    host = "picows"


class TestOnHypercorn(Engineio):
    host = HypercornAdapter
