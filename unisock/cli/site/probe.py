"""What the checks of all protocols have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import ClassVar

import anyio

from ...errors import HandshakeRejected, ProtocolError, Redirected
from ...messages import Close, Message, printable
from ..terminal.explain import explain
from .findings import UNBUFFERED, Answer, Finding, blame, body_line, patience_line
from .target import Target
from .visitor import Failure, Visitor

__all__ = ["Probe"]

STREAM_SECONDS = 2.0
"""How long the beginning of a stream may take, where a poll took next to nothing."""
PACE = 5.0
"""How many times longer than a poll it may take, where that took long."""
_GIVEN_UP = Close(1006, "given up")


class Probe(ABC):
    """Tries one endpoint as a client of its protocol would.

    :cvar protocol: its name
    """

    protocol: ClassVar[str]

    def __init__(self, target: Target, visitor: Visitor) -> None:
        self.target = target
        self.visitor = visitor
        self.post_bytes = target.post_bytes
        self.patience = STREAM_SECONDS

    @abstractmethod
    def findings(self) -> AsyncGenerator[Finding]:
        """All that can be tried without a message to the application, one after the other.

        :raises Failure: the site cannot be reached
        """

    @abstractmethod
    async def idle(self, seconds: float, works: frozenset[str]) -> float | None:
        """Hold a session with nothing to say for so long, on the best transport that works.

        :param works: the checks that passed
        :returns: the seconds after which something on the way cut it; `None` if nothing did
        :raises Failure: there is no session to be had
        """

    def blame(self, check: str, answer: Answer, *, upgrade: bool = False) -> Finding:
        """What is wrong, by a response that no session begins with."""
        target = self.target
        path = target.url.path
        return blame(check, answer, path=path, backend=target.backend, upgrade=upgrade)

    def ok(self, check: str, began: float) -> Finding:
        """It works."""
        milliseconds = (time.perf_counter() - began) * 1000
        return Finding(check=check, state="ok", told=f"{milliseconds:.0f} ms")

    def note_pace(self, began: float) -> None:
        """A poll has been answered: a stream may take somewhat longer to begin."""
        self.patience = max(STREAM_SECONDS, PACE * (time.perf_counter() - began))

    # What several protocols need.

    async def websocket(self, resource: str, greeting: str = "") -> Finding:
        """Whether a WebSocket opens there, and carries something.

        :param greeting: how the server's first message begins; where it need not say anything, it
            is pinged
        """
        check, began, timeout = "websocket", time.perf_counter(), self.visitor.timeout

        def broken(told: str) -> Finding:
            return Finding(check=check, state="broken", told=told)

        try:
            socket = await self.visitor.socket(resource)
        except TimeoutError:
            return broken(f"no answer to the request within {timeout:g} seconds")
        except HandshakeRejected as rejection:
            headers = {name.lower(): value for name, value in rejection.headers}
            answer = Answer(rejection.status, headers, rejection.reason.encode())
            self.visitor.note(headers)
            return self.blame(check, answer, upgrade=True)
        except (ProtocolError, Redirected, OSError) as error:
            return broken(explain(error))
        if greeting:
            spoke = await socket.until(lambda: socket.first is not None, timeout)
        else:
            spoke = await socket.ping(timeout)
        close, told = socket.closed, socket.first
        if spoke and _begins(told, greeting):
            finding = self.ok(check, began)
            await socket.leave()
            return finding
        socket.connection.fail(_GIVEN_UP)
        if (greeting and told is not None) or (close is not None and close.code >= 3000):
            why = told or (close and f"{close.code} {close.reason}")
            return Finding(
                check=check,
                state="unknown",
                told=f"the application refuses: {printable(str(why), 100)}; -H and --token say who "
                "you are",
            )
        if close is None:
            return broken("it opens, and nothing comes: something on the way swallows its frames")
        return broken(f"something on the way cuts it as soon as it is open ({close.code})")

    async def streamed(self, check: str, method: str, resource: str, wanted: bytes) -> Finding:
        """Whether a streamed response comes as it is written.

        :param wanted: is in its beginning
        """
        began = time.perf_counter()
        try:
            with anyio.fail_after(self.patience):
                async with self.visitor.stream(method, resource) as (head, chunks):
                    if head.status != 200:
                        return self.blame(check, head)
                    if await read_until(chunks, wanted):
                        return self.ok(check, began)
            told = "the response ends before it has begun"
            return Finding(check=check, state="broken", told=told)
        except TimeoutError:
            told = "the proxy keeps the stream back, to pass it on in larger pieces"
        except Failure as failure:
            told = f"something on the way cuts the stream before it has begun: {failure}"
        return Finding(check=check, state="broken", told=told, nginx=UNBUFFERED)

    def body(self, answer: Answer) -> Finding:
        """What became of the largest POST that the server takes."""
        size = _readable(self.post_bytes)
        if answer.status == 413 and answer.by_proxy:
            told = f"the proxy refuses a POST of {size}, which the server would take"
            line = body_line(self.post_bytes)
            return Finding(check="body", state="broken", told=told, nginx=(line,))
        if answer.by_proxy and answer.status >= 500:
            return self.blame("body", answer)
        return Finding(check="body", state="ok", told=f"a POST of {size} gets through")

    async def idle_finding(self, seconds: float, works: frozenset[str]) -> Finding:
        """What became of a session with nothing to say."""
        interval = self.target.interval
        try:
            cut = await self.idle(seconds, works)
        except Failure as failure:
            return Finding(check="idle", state="unknown", told=str(failure))
        if cut is None:
            return Finding(check="idle", state="ok", told=f"held for {seconds:g} s")
        told = f"cut after {cut:.1f} s of silence; the server says something each {interval:g} s"
        line = patience_line(interval)
        return Finding(check="idle", state="broken", told=told, nginx=(line,))

    async def hold_socket(
        self, resource: str, seconds: float, answers: Callable[..., str | None] | None = None
    ) -> float | None:
        """`idle` on a WebSocket.

        :raises Failure: there is none
        """
        try:
            socket = await self.visitor.socket(resource)
        except (HandshakeRejected, ProtocolError, Redirected, OSError) as error:
            raise Failure(explain(error)) from error
        if answers is not None:
            socket.answers = answers
        cut = await socket.held(seconds)
        await socket.leave()
        return cut

    async def hold_stream(self, method: str, resource: str, seconds: float) -> float | None:
        """`idle` on a streamed response.

        :raises Failure: there is none
        """
        began, opened = time.perf_counter(), False
        with anyio.move_on_after(seconds):
            try:
                async with self.visitor.stream(method, resource) as (head, chunks):
                    if head.status != 200:
                        raise Failure(f"there is no session: answered with {head.status}")
                    opened = True
                    async for _ in chunks:
                        pass
            except Failure:
                if not opened:
                    raise
            return time.perf_counter() - began
        return None


def _begins(message: Message | None, greeting: str) -> bool:
    return not greeting or (isinstance(message, str) and message.startswith(greeting))


async def read_until(chunks: AsyncIterator[bytes], wanted: bytes) -> bool:
    """Read a stream up to these bytes; `False` if it ends before."""
    seen = b""
    async for chunk in chunks:
        seen += chunk
        if wanted in seen:
            return True
    return False


def _readable(size: int) -> str:
    return f"{size / 1_048_576:.3g} MiB" if size >= 1_048_576 else f"{size / 1024:.3g} KiB"
