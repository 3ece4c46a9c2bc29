"""Messages as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re

from unisock.errors import EncodeError
from unisock.framing import Framing
from unisock.messages import Message

__all__ = ["EVENTS", "EventFraming", "check_field", "event"]

_LINE = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile("[\r\n\0]")


class EventFraming(Framing):
    """Each message is an event without a name; text only."""

    __slots__ = ()

    binary = False

    def frame(self, message: Message) -> bytes:
        if isinstance(message, bytes):
            raise EncodeError("server-sent events are text: send str, or use the json codec")
        return event(message)


EVENTS = EventFraming()


def event(data: str, name: str = "", id: str | None = None) -> bytes:
    """The bytes of one event.

    :param name: its type; ``message`` to clients if there is none
    :param id: what a client sends as ``Last-Event-ID`` when it comes back
    :raises EncodeError: the text has no UTF-8
    :raises ValueError: a field would become several
    """
    head = ""
    if name:
        head = f"event: {check_field('event', name)}\n"
    if id is not None:
        head += f"id: {check_field('id', id)}\n"
    lines = _LINE.split(data) if "\n" in data or "\r" in data else (data,)
    text = head + "".join([f"data: {line}\n" for line in lines]) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(f"no UTF-8 for this text: {error}") from error


def check_field(field: str, value: str) -> str:
    """The value, which stays one line.

    :raises ValueError: it does not; whoever chooses it could put in fields of their own
    """
    if _FORBIDDEN.search(value):
        raise ValueError(f"{field}: a server-sent event's {field} has no line ends and no NUL")
    return value
