"""Named events for unisock, with answers."""

from .errors import EventError, InvalidArguments, RemoteError, RequestTimeout
from .plugin import Emitter
from .polls import Answers

__all__ = [
    "Answers",
    "Emitter",
    "EventError",
    "InvalidArguments",
    "RemoteError",
    "RequestTimeout",
]
