"""What a client says on a new connection before the application may use it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import anyio

from ..errors import HandshakeRejected
from ..messages import Close, Message, printable
from .connection import Connection, Receiver

__all__ = ["Greeting"]


class Greeting(Receiver):
    """A handshake of the dialect's own, which each connection of a client goes through. Until it is
    over the connection does not count as made, and what the application sends waits.

    A dialect derives from it: `begin` speaks, and `on_message` hears the answer, until it calls
    `settled` or `refused`.

    :ivar connection: the new connection
    """

    __slots__ = ("_error", "_over", "_then", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._over = anyio.Event()
        self._error: Exception | None = None
        self._then: Callable[[], None] = lambda: None

    async def begin(self) -> None:
        """Say the first word, if it is this side's.

        :raises Exception: of a function of the application's that was asked for it
        """

    @abstractmethod
    def on_message(self, message: Message) -> None: ...

    def settled(self) -> None:
        """The other side is ready: what it sends from now on is delivered."""
        if not self._over.is_set():
            self._over.set()
            self._then()

    def refused(self, error: Exception) -> None:
        """It comes to nothing.

        :param error: one that `Connector.connect` may raise
        """
        if not self._over.is_set():
            self._error = error
            self._over.set()

    def on_close(self, close: Close) -> None:
        told = printable(close.reason) or f"closed with {close.code}"
        if close.come_back:
            self.refused(ConnectionError(f"the server hung up: {told}"))
        else:
            code = close.code if Close.sendable(close.code) else 4500
            self.refused(HandshakeRejected(told, code=code))

    # For the core.

    def then(self, function: Callable[[], None]) -> None:
        """Have this called when it is `settled`."""
        self._then = function

    async def run(self) -> None:
        """From the first word to the end. The connection is cut if that is no good one.

        :raises Exception: why it was refused, or of `begin`
        """
        try:
            await self.begin()
            await self._over.wait()
            if self._error is not None:
                raise self._error
        except BaseException as error:
            self._over.set()
            self.connection.fail(Close(1006, printable(str(error)) or "given up"))
            raise
