"""A message stream as a byte stream."""

from __future__ import annotations

import codecs
from typing import Any

from anyio.abc import ByteStream, ObjectStream

__all__ = ["MessageByteStream"]


class MessageByteStream(ByteStream):
    """Bytes over messages: each `send` is one message, and boundaries mean nothing to the reader.

    :param messages: a stream of `str` and `bytes`
    :param encoding: send text in this encoding; `None` sends binary messages
    """

    def __init__(self, messages: ObjectStream[Any], encoding: str | None) -> None:
        self._messages = messages
        self._encoding = encoding
        # A chunk may end inside a character; the rest of it comes with the next.
        self._decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
        self._left = b""

    async def send(self, item: bytes) -> None:
        """Send bytes; waits while the peer is slow.

        :raises UnicodeDecodeError: the session carries text, and these bytes are none
        """
        if self._decoder is None:
            await self._messages.send(bytes(item))
        else:
            try:
                text = self._decoder.decode(item)
            except UnicodeDecodeError:
                self._decoder.reset()  # else its leftover would spoil all that follows
                raise
            if text:
                await self._messages.send(text)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """At least one byte, at most ``max_bytes``."""
        while not self._left:
            message = await self._messages.receive()
            self._left = (
                message.encode(self._encoding or "utf-8") if isinstance(message, str) else message
            )
        chunk, self._left = self._left[:max_bytes], self._left[max_bytes:]
        return chunk

    async def send_eof(self) -> None:
        """A connection has no half-closed state: the same as `aclose`."""
        await self._messages.aclose()

    async def aclose(self) -> None:
        await self._messages.aclose()
