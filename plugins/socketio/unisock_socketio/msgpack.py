"""Packets as MessagePack maps, one in a message: the form of socket.io-msgpack-parser."""

from __future__ import annotations

from typing import Any

import msgspec

from unisock import DecodeError, EncodeError, Message, ProtocolError
from unisock.messages import Wire

from .packets import CONNECT_ERROR, NOTHING, Decoder, Packet, Parser, check_namespace, checked

__all__ = ["MsgpackParser"]

_UNDEFINED = memoryview(b"\0")


def _extension(code: int, data: memoryview) -> Any:
    """What notepack.io writes as type 0: JavaScript's ``undefined``, an ``ArrayBuffer`` or a
    ``Date``, of which only the first can be told from the others here. Others stay as they are.
    """
    if code:
        return msgspec.msgpack.Ext(code, bytes(data))
    return None if data == _UNDEFINED else bytes(data)


class MsgpackParser(Parser):
    """``{type, nsp, data, id}`` in one binary message, bytes included."""

    def __init__(self, max_attachments: int) -> None:
        super().__init__(max_attachments)
        self._encode = msgspec.msgpack.Encoder().encode

    def decoder(self, name_bytes: int) -> Decoder:
        return _MsgpackDecoder(name_bytes)

    def pack(
        self, kind: int, namespace: str, data: Any = NOTHING, number: int | None = None
    ) -> Wire:
        packet: dict[str, Any] = {"type": kind, "nsp": namespace}
        if data is not NOTHING:
            packet["data"] = data
        if number is not None:
            packet["id"] = number
        try:
            return self._encode(packet)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"no MessagePack for {type(data).__name__}: {error}") from error


_DECODER = msgspec.msgpack.Decoder(ext_hook=_extension)


class _MsgpackDecoder(Decoder):
    __slots__ = ("_name_bytes",)

    def __init__(self, name_bytes: int) -> None:
        self._name_bytes = name_bytes

    def feed(self, message: Message) -> Packet:
        if isinstance(message, str):
            raise ProtocolError("packets are binary here: the parser is msgpack", code=1003)
        try:
            fields: Any = _DECODER.decode(message)
        except (TypeError, ValueError, RecursionError) as error:
            # TypeError: a map whose key cannot be hashed.
            raise DecodeError(f"not MessagePack: {error}") from error
        whole: Any = fields.__class__
        if whole is not dict:
            raise ProtocolError("a packet is a map")
        kind, namespace, number = fields.get("type"), fields.get("nsp"), fields.get("id")
        if type(kind) is not int or not 0 <= kind <= CONNECT_ERROR:
            raise ProtocolError("no such type of packet")
        if type(namespace) is not str:
            raise ProtocolError("the namespace of a packet is a text")
        check_namespace(namespace, self._name_bytes)
        if number is not None and (type(number) is not int or not 0 <= number < 10**15):
            raise ProtocolError("the id of a packet is a number of at most 15 digits")
        data = fields.get("data")
        return checked(kind, namespace, NOTHING if data is None else data, number)
