"""How a payload becomes text or bytes: json, msgpack, text, raw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec

from .errors import DecodeError, EncodeError
from .messages import Message

__all__ = ["Codec", "JsonCodec", "MsgpackCodec", "RawCodec", "TextCodec"]


class Codec(ABC):
    """Encodes payloads and decodes messages. Stateless: one object serves every connection.

    :cvar name: what the configuration calls it
    :cvar binary: it writes `bytes`, so it needs sessions that carry binary messages
    """

    name: ClassVar[str]
    binary: ClassVar[bool] = False

    @abstractmethod
    def encode(self, payload: object) -> Message:
        """The message for this payload.

        :raises EncodeError: the payload has no form in this codec
        """

    @abstractmethod
    def decode(self, message: Message) -> object:
        """The payload of this message, which comes from outside and may be anything.

        :raises DecodeError: the message is not of this codec; never any other error
        """

    def enclose(self, *head: object) -> tuple[Message, Message] | None:
        """What stands before and after an encoded payload in an array ``[*head, payload]``, so that
        it is encoded once for many arrays; `None` if the codec has no arrays.

        :raises EncodeError: the head has no form in this codec
        """
        return None


class JsonCodec(Codec):
    """JSON (RFC 8259) as text; binary messages that hold JSON are accepted too."""

    name = "json"

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode

    def encode(self, payload: object) -> Message:
        try:
            return self._encode(payload).decode()
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"no JSON for {type(payload).__name__}: {error}") from error

    def decode(self, message: Message) -> object:
        try:
            return self._decode(message)
        except (ValueError, RecursionError) as error:
            # RecursionError: a depth bomb ("[[[[…") is no ValueError.
            raise DecodeError(f"not JSON: {error}") from error

    def enclose(self, *head: object) -> tuple[Message, Message]:
        try:
            return self._encode(head)[:-1].decode() + ("," if head else ""), "]"
        except (TypeError, ValueError) as error:
            raise EncodeError(f"no JSON for {head}: {error}") from error


class MsgpackCodec(Codec):
    """MessagePack in binary messages."""

    name = "msgpack"
    binary = True

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode

    def encode(self, payload: object) -> Message:
        try:
            return self._encode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"no MessagePack for {type(payload).__name__}: {error}") from error

    def decode(self, message: Message) -> object:
        if isinstance(message, str):
            raise DecodeError("MessagePack comes in binary messages; this one is text", code=1003)
        try:
            return self._decode(message)
        except (TypeError, ValueError, RecursionError) as error:
            # TypeError: a map whose key cannot be hashed.
            raise DecodeError(f"not MessagePack: {error}") from error

    def enclose(self, *head: object) -> tuple[Message, Message]:
        # An array of at most 15 elements begins with one byte, 0x90 + their number.
        items = self._encode(head)
        return bytes((items[0] + 1,)) + items[1:], b""


class TextCodec(Codec):
    """Payloads are `str`."""

    name = "text"

    def encode(self, payload: object) -> Message:
        if isinstance(payload, str):
            return _sendable(payload)
        raise EncodeError(f"the text codec sends str, not {type(payload).__name__}")

    def decode(self, message: Message) -> object:
        if isinstance(message, str):
            return message
        raise DecodeError("this endpoint takes text messages only", code=1003)


class RawCodec(Codec):
    """Payloads are messages: `str` goes as text, `bytes` as binary."""

    name = "raw"

    def encode(self, payload: object) -> Message:
        if isinstance(payload, bytes):
            return payload
        if isinstance(payload, str):
            return _sendable(payload)
        if isinstance(payload, bytearray):
            return bytes(payload)
        raise EncodeError(f"the raw codec sends str or bytes, not {type(payload).__name__}")

    def decode(self, message: Message) -> object:
        return message


def _sendable(text: str) -> str:
    """The text, which has a form in UTF-8: lone surrogates have none."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise EncodeError(f"no UTF-8 for this text: {error}") from error
    return text
