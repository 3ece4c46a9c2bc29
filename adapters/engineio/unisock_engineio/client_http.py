"""The HTTP requests of a client, by httpx, on asyncio and trio."""

from __future__ import annotations

from unisock import ProtocolError
from unisock.abc import Call
from unisock.errors import LimitExceeded, NotInstalled, Redirected
from unisock.exchange import read_refusal

from .client_calls import translated

try:
    import httpx

    from unisock.http_client import HttpClient, read_some
except ImportError as missing:
    raise NotInstalled(
        "polling needs httpx; try: pip install 'unisock-engineio[client]', "
        'or connect with transports=["websocket"]',
        kind="package",
        name="httpx",
        installed=(),
    ) from missing

__all__ = ["HttpFailure", "PollingRequests"]

_TEXT = [("Content-Type", "text/plain;charset=UTF-8")]
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})


class HttpFailure(Exception):
    """A request of an open session failed.

    :ivar status: the HTTP status; 0 if there was no answer
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class PollingRequests:
    """Requests to one server.

    :param most: the bytes that an answer may have
    :param transport: who makes the requests, if not the network
    :raises ConfigError: a proxy that httpx cannot use
    """

    def __init__(self, call: Call, most: int, transport: httpx.AsyncBaseTransport | None) -> None:
        self._most = most
        self._server = call.url.authority
        self._client = HttpClient(call, transport)

    @property
    def cookie(self) -> str:
        """The ``Cookie`` header with what the server has set so far."""
        return self._client.cookie

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def handshake(self, target: str) -> bytes:
        """The answer to the first request.

        :raises HandshakeRejected: the server says no
        :raises Redirected: it sends the client elsewhere
        :raises ProtocolError: it speaks another language
        :raises OSError: it cannot be reached
        """
        try:
            status, headers, body = await self._ask("GET", target)
        except HttpFailure as failure:
            raise ConnectionError(str(failure)) from failure
        location = headers.get("location")
        if status in _REDIRECTIONS and location is not None:
            raise Redirected(status, location)
        if status >= 400:
            refusal = read_refusal(status, headers.multi_items(), body)
            raise translated(refusal, body)
        if status != 200:
            raise ProtocolError(f"the server answered with {status}, and not with a session")
        return body

    async def get(self, target: str) -> bytes:
        """The answer to a poll.

        :raises HttpFailure: there is none
        """
        return await self._must("GET", target)

    async def post(self, target: str, body: bytes) -> None:
        """Send a payload.

        :raises HttpFailure: it was not taken
        """
        await self._must("POST", target, body)

    async def _must(self, method: str, target: str, body: bytes = b"") -> bytes:
        status, _, answer = await self._ask(method, target, body)
        if status != 200:
            raise HttpFailure(f"the server answered {method} with {status}", status)
        return answer

    async def _ask(
        self, method: str, target: str, body: bytes = b""
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = _TEXT if body else ()
        try:
            response = await self._client.send(method, target, body, headers, stream=True)
            try:
                answer = await read_some(response, self._most)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error) or type(error).__name__
            raise HttpFailure(f"{self._server}: {told}") from error
        if len(answer) > self._most:
            raise HttpFailure(str(LimitExceeded("payload_bytes", self._most)))
        return response.status_code, response.headers, answer
