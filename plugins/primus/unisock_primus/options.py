"""What a Primus endpoint can be told in its table ``options``, and `connect` by keywords."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ClientOptions", "Options"]


class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which of Primus' plugins the other side has, where their wires exclude each other."""

    events: Literal["emitter", "emit"] = "emitter"
    """Events as primus-emitter has them, with answers; or as primus-emit, without."""
    channels: Literal["multiplex", "substream"] = "multiplex"
    """Channels as primus-multiplex has them, or as substream."""
    responder: bool = False
    """The other side has primus-responder: its requests are the event ``request``, and that event
    goes out as a request if an answer is wanted."""


class Options(ClientOptions, frozen=True, kw_only=True):
    """The same for an endpoint, and what it offers."""

    client: str = ""
    """The file with the browser library, which is offered as ``primus.js`` beneath the endpoint;
    ``unisock primus-client`` writes it."""
