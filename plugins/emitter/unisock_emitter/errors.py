"""What can go wrong with an event.

::

    UnisockError
    ├── EventError              a handler refuses an event; whoever asked is told   code, message
    │   └── RemoteError         the other side refused ours                         code, message
    ├── RequestTimeout          no answer came in time                              seconds
    └── ProtocolError
        └── InvalidArguments    arguments that do not fit the handler's signature
"""

from __future__ import annotations

from unisock import ProtocolError, UnisockError

__all__ = ["EventError", "InvalidArguments", "RemoteError", "RequestTimeout"]


class EventError(UnisockError):
    """Raise it in a handler to refuse an event. Whoever awaits an answer gets code and message.

    :param code: a word for programs, such as ``not-allowed``
    :param message: a sentence for people
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class RemoteError(EventError):
    """The other side answered that it failed."""


class RequestTimeout(UnisockError, TimeoutError):
    """No answer came in time.

    :ivar seconds: how long it was waited for
    """

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"no answer to {name!r} within {seconds:g} s")
        self.seconds = seconds


class InvalidArguments(ProtocolError):
    """A client sent arguments that do not fit the signature of the handler."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=1007)
