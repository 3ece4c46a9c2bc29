"""What goes over the wire: packets of the SockJS protocol, version 0.3.3."""

from __future__ import annotations

import json

import msgspec

from unisock import ProtocolError

__all__ = ["HEARTBEAT", "decode", "disconnect"]

HEARTBEAT = "h"

_decode_list = msgspec.json.Decoder(list[str]).decode
_decode_either = msgspec.json.Decoder(list[str] | str).decode


def disconnect(code: int, reason: str) -> str:
    """The packet that ends a session."""
    return f"c[{code},{json.dumps(reason)}]"


def decode(data: str | bytes, *, single: bool = False) -> list[str]:
    """The messages in what a client sent.

    :param single: one string without the brackets will do
    :raises ProtocolError: it is anything but an array of strings
    """
    if not data:
        raise ProtocolError("Payload expected.", code=1007)
    try:
        messages = _decode_either(data) if single else _decode_list(data)
    except msgspec.ValidationError:
        raise ProtocolError("Payload expected.", code=1007) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ProtocolError("Broken JSON encoding.", code=1007) from None
    return [messages] if isinstance(messages, str) else messages
