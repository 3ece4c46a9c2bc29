"""Server-sent events for unisock: the protocol, and its client's side."""

from .protocol import EventsourceProtocol, last_event_id, publish

__all__ = ["EventsourceProtocol", "last_event_id", "publish"]
