"""What an endpoint says about itself: ``GET …/spec``."""

from __future__ import annotations

import msgspec

from unisock import Handshake
from unisock.abc import Gate
from unisock.assets import Asset
from unisock.exchange import Response

__all__ = ["TRANSFORMERS", "VERSION", "Spec", "SpecPage"]

VERSION = "8.0.9"
"""The Primus whose wire is spoken here."""
TRANSFORMERS = {"websocket": "websockets", "sockjs": "sockjs", "engineio": "engine.io"}
"""What Primus calls the protocols."""
PARSERS = ("json", "msgpack")
"""The codecs that Primus has a parser for, which it calls the same."""


class Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The facts that a client has to know. ``custom`` stands for what Primus does not bring itself.

    :ivar ping_interval: milliseconds between two pings of the server's; `False` for none
    """

    ping_interval: int | bool
    pathname: str
    version: str = VERSION
    parser: str
    transformer: str

    @classmethod
    def of(cls, gate: Gate) -> Spec:
        """That of an endpoint."""
        endpoint = gate.endpoint
        sessions = gate.capabilities.sessions
        protocol = endpoint.protocol or (sessions[0] if sessions else "websocket")
        return cls(
            ping_interval=round(gate.heartbeat.interval * 1000) or False,
            pathname=endpoint.path,
            parser=endpoint.codec if endpoint.codec in PARSERS else "custom",
            transformer=TRANSFORMERS.get(protocol, "custom"),
        )


class SpecPage(Asset):
    """The document, which pages of the allowed origins may read."""

    def __init__(self, spec: Spec, gate: Gate) -> None:
        super().__init__(msgspec.json.encode(spec), "application/json")
        self._gate = gate

    def answer(self, handshake: Handshake) -> Response:
        response = super().answer(handshake)
        origin = handshake.origin
        if origin is not None and self._gate.welcomes(handshake):
            allow = ("Access-Control-Allow-Origin", origin)
            response.headers += (allow, ("Vary", "Origin"))
        return response
