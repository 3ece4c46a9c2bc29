"""Socket.IO packets, without I/O: what every parser has in common, and the one of text.

A packet has a type, a namespace, perhaps an id, and data. In the default form it is text, and the
bytes in its data follow as binary messages of their own, for which placeholders stand in the text.

Source: the Socket.IO protocol, revision 5 (https://socket.io/docs/v4/socket-io-protocol/). The
packets of revision 4 look alike, and differ in what they hold.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from unisock import EncodeError, LimitExceeded, Message, ProtocolError
from unisock.codecs import JsonCodec
from unisock.messages import Wire

__all__ = [
    "ACK",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "MAX_NESTING",
    "NOTHING",
    "Decoder",
    "Packet",
    "Parser",
    "TextParser",
    "check_namespace",
    "checked",
]

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

MAX_NESTING = 200
"""How deep data may be nested that is sent, or that has bytes in it."""

NOTHING: Final = msgspec.UNSET
"""The data of a packet that has none."""

_RESERVED = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
_HEAD = re.compile(r"([0-6])(?:([0-9]+)-)?(?:(/[^,]*),?)?([0-9]*)")
_WITH_BYTES = frozenset({EVENT, ACK})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_encode = cast("Callable[[object], str]", JsonCodec().encode)
_decode = JsonCodec().decode
_BYTES = frozenset({bytes, bytearray, memoryview})


class Packet(msgspec.Struct, frozen=True, gc=False):
    """A packet, whole and checked.

    :ivar kind: `CONNECT`, `DISCONNECT`, `EVENT`, `ACK` or `CONNECT_ERROR`
    :ivar data: for `EVENT`, a list that begins with a `str` or a number; for `ACK` a list; for
        `CONNECT` a dictionary; `NOTHING` if there is none
    """

    kind: int
    namespace: str
    data: Any = NOTHING
    id: int | None = None


class Decoder(ABC):
    """Puts the packets of one connection together."""

    __slots__ = ()

    @abstractmethod
    def feed(self, message: Message) -> Packet | None:
        """The packet that this message completes; `None` if there is more to come.

        :raises ProtocolError: it is none, or not now
        :raises DecodeError: its data are not what they should be
        :raises LimitExceeded: it is over a cap
        """


class Parser(ABC):
    """One of the forms of packets.

    :param max_attachments: how many pieces of binary data one packet may have
    """

    def __init__(self, max_attachments: int) -> None:
        self.max_attachments = max_attachments

    @abstractmethod
    def decoder(self, name_bytes: int) -> Decoder:
        """For a new connection.

        :param name_bytes: the most bytes of a namespace's name
        """

    @abstractmethod
    def pack(
        self, kind: int, namespace: str, data: Any = NOTHING, number: int | None = None
    ) -> Wire:
        """The message, or messages, for a packet.

        :raises EncodeError: the data have no form in it
        """

    def events(self, namespace: str) -> Callable[[list[object]], Wire]:
        """A function that packs events without an id: what there is most of."""
        return lambda items: self.pack(EVENT, namespace, items)


class TextParser(Parser):
    """socket.io-parser's form: text, and then the attachments."""

    def events(self, namespace: str) -> Callable[[list[object]], Wire]:
        head = str(EVENT) if namespace == "/" else f"{EVENT}{namespace},"

        def pack(items: list[object]) -> Wire:
            if _plain(items):
                return head + _encode(items)
            return self.pack(EVENT, namespace, items)

        return pack

    def decoder(self, name_bytes: int) -> Decoder:
        return _TextDecoder(self.max_attachments, name_bytes)

    def pack(
        self, kind: int, namespace: str, data: Any = NOTHING, number: int | None = None
    ) -> Wire:
        attachments: list[bytes] = []
        if kind in _WITH_BYTES and not _plain(data):
            data = _take_out(_normal(data), attachments, 0)
        where = "" if namespace == "/" else namespace + ","
        name = "" if number is None else number
        text = "" if data is NOTHING else _encode(data)
        if not attachments:
            return f"{kind}{where}{name}{text}"
        if len(attachments) > self.max_attachments:
            raise EncodeError(
                f"over max_attachments = {self.max_attachments}: a packet of Socket.IO has no more "
                "pieces of binary data, unless both sides are set to take them"
            )
        kind = BINARY_EVENT if kind == EVENT else BINARY_ACK
        return (f"{kind}{len(attachments)}-{where}{name}{text}", *attachments)


class _TextDecoder(Decoder):
    __slots__ = ("_attachments", "_most", "_name_bytes", "_packet", "_wanted")

    def __init__(self, most: int, name_bytes: int) -> None:
        self._most = most
        self._name_bytes = name_bytes
        # What waits for its attachments.
        self._packet: Packet | None = None
        self._wanted = 0
        self._attachments: list[bytes] = []

    def feed(self, message: Message) -> Packet | None:
        if isinstance(message, str):
            if self._packet is not None:
                raise ProtocolError("text instead of an attachment")
            if message[:2] == "2[":  # what there is most of
                return Packet(EVENT, "/", _event(_decode(message[1:])))
            return self._begin(message)
        packet = self._packet
        if packet is None:
            raise ProtocolError("an attachment that was not announced")
        self._attachments.append(message)
        if len(self._attachments) < self._wanted:
            return None
        return self._complete(packet)

    def _begin(self, text: str) -> Packet | None:
        head = _HEAD.match(text)
        if head is None:
            raise ProtocolError("no packet of Socket.IO")
        kind, number = int(head[1]), head[4]
        binary = kind >= BINARY_EVENT
        if binary is (head[2] is None):
            raise ProtocolError("no packet of Socket.IO")
        namespace = head[3] or "/"
        check_namespace(namespace, self._name_bytes)
        if len(number) > 15:  # as many digits as JavaScript keeps apart
            raise ProtocolError("the id of a packet has at most 15 digits")
        rest = text[head.end() :]
        packet = checked(
            kind - 3 if binary else kind,
            namespace,
            _decode(rest) if rest else NOTHING,
            int(number) if number else None,
        )
        if not binary:
            return packet
        # Digits without a bound would be slow to read.
        wanted = int(head[2]) if len(head[2]) < 7 else 1_000_000
        if not wanted:
            raise ProtocolError("a binary packet without attachments")
        if wanted > self._most:
            raise LimitExceeded("max_attachments", self._most)
        self._packet, self._wanted = packet, wanted
        return None

    def _complete(self, packet: Packet) -> Packet:
        attachments: list[bytes | None] = [*self._attachments]
        self._packet = None
        self._attachments = []
        return Packet(
            packet.kind, packet.namespace, _put_in(packet.data, attachments, 0), packet.id
        )


# What a packet may hold.


def checked(kind: int, namespace: str, data: Any, number: int | None) -> Packet:
    """A packet, if it may be one.

    :raises ProtocolError: it may not
    """
    if kind == EVENT:
        data = _event(data)
    elif kind == ACK:
        if number is None or type(data) is not list:
            raise ProtocolError("an acknowledgement is an array, and has an id")
    elif number is not None:
        raise ProtocolError("only events and acknowledgements have an id")
    elif kind == CONNECT:
        if data is not NOTHING and type(data) is not dict:
            raise ProtocolError("what comes with a connection to a namespace is an object")
    elif kind == DISCONNECT:
        if data is not NOTHING:
            raise ProtocolError("nothing comes with the end of a namespace")
    elif type(data) not in (str, dict):
        raise ProtocolError("an error is an object or a text")
    return Packet(kind, namespace, data, number)


def check_namespace(name: str, most: int) -> None:
    """Look whether a namespace may be called that.

    :raises ProtocolError: it may not
    :raises LimitExceeded: it is too long
    """
    if name[:1] != "/" or not name.isprintable() or "," in name:
        raise ProtocolError("no namespace can be called that")
    if len(name) > most or len(name.encode("utf-8", "surrogatepass")) > most:
        raise LimitExceeded("channel_name_bytes", most)


def _event(data: Any) -> Any:
    kind: Any = data.__class__
    if kind is not list or not data:
        raise ProtocolError("the data of an event are an array that begins with its name")
    name: Any = data[0]
    if type(name) is str:
        if name in _RESERVED:
            raise ProtocolError(f"no event can be called {name}")
    elif type(name) not in (int, float):
        raise ProtocolError("the name of an event is a text")
    return data


# Bytes within data.


def _normal(data: Any) -> Any:
    """Data made of what JSON and MessagePack have, and bytes: no structs or dates any more.

    :raises EncodeError: it cannot be
    """
    try:
        return msgspec.to_builtins(data, builtin_types=(bytes, bytearray, memoryview))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EncodeError(f"no form for {type(data).__name__}: {error}") from error


def _plain(value: Any, depth: int = 0) -> bool:
    """Whether a value has no bytes in it, and nothing that might be made of some."""
    kind: Any = value.__class__
    if kind in _SCALARS:
        return True
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return value is NOTHING
    if depth > MAX_NESTING:
        return False
    for item in value:  # noqa: SIM110 - a generator would take twice as long
        if type(item) not in _SCALARS and not _plain(item, depth + 1):
            return False
    return True


def _take_out(value: Any, attachments: list[bytes], depth: int) -> Any:
    """The value with a placeholder for each piece of bytes, which go to ``attachments``."""
    kind: Any = value.__class__
    if kind in _BYTES:
        attachments.append(value if kind is bytes else bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if kind in _SCALARS:
        return value
    if depth > MAX_NESTING:
        raise EncodeError(f"over the limit nesting = {MAX_NESTING}")
    if kind is dict:
        return {key: _take_out(item, attachments, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_take_out(item, attachments, depth + 1) for item in value]
    return value


def _put_in(value: Any, attachments: list[bytes | None], depth: int) -> Any:
    """The value with attachments in the place of their placeholders, each once: whoever could name
    one a thousand times would make much of little.
    """
    if depth > MAX_NESTING:
        raise LimitExceeded("nesting", MAX_NESTING)
    kind: Any = value.__class__
    if kind is dict and value.get("_placeholder") is True:
        number = value.get("num")
        if type(number) is not int or not 0 <= number < len(attachments):
            raise ProtocolError("a placeholder for an attachment that there is not")
        attachment, attachments[number] = attachments[number], None
        if attachment is None:
            raise ProtocolError("two placeholders for one attachment")
        return attachment
    if kind is dict or kind is list:
        for key, item in value.items() if kind is dict else enumerate(value):
            if type(item) not in _SCALARS:
                value[key] = _put_in(item, attachments, depth + 1)
    return value
