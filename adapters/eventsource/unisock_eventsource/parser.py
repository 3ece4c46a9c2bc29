"""A stream of server-sent events, read as it comes (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import codecs
import re

import msgspec

from unisock.errors import LimitExceeded

__all__ = ["EventParser", "ServerSent"]

_END = re.compile("\r\n|\r|\n")


class ServerSent(msgspec.Struct, frozen=True):
    """One event.

    :ivar name: its type, ``message`` where it has none
    :ivar id: the last id that was there up to now
    """

    data: str
    name: str = "message"
    id: str = ""


class EventParser:
    """Takes bytes, gives events. Wrong UTF-8 is replaced, as browsers do.

    :param limit: bytes that the data of one event may have
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._first = True
        self._data: list[str] = []
        self._size = 0
        self._name = ""
        self._id = ""

    def feed(self, piece: bytes) -> list[ServerSent]:
        """The events that end in this piece.

        :raises LimitExceeded: one is too large
        """
        text = self._text + self._decoder.decode(piece)
        if self._first and text:
            self._first = False
            text = text.removeprefix("\ufeff")
        events: list[ServerSent] = []
        at = 0
        while (end := _END.search(text, at)) is not None:
            if end[0] == "\r" and end.end() == len(text):
                break  # its line feed may follow
            event = self._line(text[at : end.start()])
            if event is not None:
                events.append(event)
            at = end.end()
        self._text = text[at:]
        self._check(len(self._text) - len("data: "))
        return events

    def _line(self, line: str) -> ServerSent | None:
        if not line:
            return self._dispatch()
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        match field:
            case "data":
                self._size += bool(self._data)  # the line feed between them
                self._size += len(value) if value.isascii() else len(value.encode())
                self._data.append(value)
                self._check(0)
            case "event":
                self._name = value
            case "id" if "\0" not in value:
                self._id = value
            case _:
                pass  # `retry` is the redialer's business; the rest are comments
        return None

    def _dispatch(self) -> ServerSent | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        return ServerSent("\n".join(data), name or "message", self._id) if data else None

    def _check(self, more: int) -> None:
        if self._size + more > self._limit:
            raise LimitExceeded("message_bytes", self._limit, code=1009)
