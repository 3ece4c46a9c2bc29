"""The HTTP requests of a client, by httpx, on asyncio and trio."""

from __future__ import annotations

from typing import Any

import msgspec

from unisock import ConfigError, ProtocolError
from unisock.abc import Call
from unisock.errors import LimitExceeded, NotInstalled, Redirected
from unisock.exchange import read_refusal
from unisock.url import Url

from .client_calls import translated

try:
    import httpx
except ImportError as missing:
    raise NotInstalled(
        "polling needs httpx; try: pip install 'unisock-engineio[client]', "
        'or connect with transports=["websocket"]',
        kind="package",
        name="httpx",
        installed=(),
    ) from missing

__all__ = ["HttpClient", "HttpFailure"]

CONNECT_SECONDS = 10.0
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})


class HttpFailure(Exception):
    """A request of an open session failed.

    :ivar status: the HTTP status; 0 if there was no answer
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class HttpClient:
    """Requests to one server.

    :param most: the bytes that an answer may have
    :param transport: who makes the requests, if not the network
    :raises ConfigError: a proxy that httpx cannot use
    """

    def __init__(self, call: Call, most: int, transport: httpx.AsyncBaseTransport | None) -> None:
        url = call.url
        self._most = most
        self._base = f"{'https' if url.secure else 'http'}://{url.authority}"
        self._extensions: dict[str, Any] = {}
        headers = [*call.headers]
        if call.server_name is not None:
            headers.append(("Host", _named(url, call.server_name)))
            self._extensions["sni_hostname"] = call.server_name
        if transport is None and url.unix is not None:
            transport = httpx.AsyncHTTPTransport(uds=url.unix, verify=call.tls or True)
        try:
            self._client = httpx.AsyncClient(
                headers=headers,
                verify=call.tls or True,
                proxy=call.proxy if isinstance(call.proxy, str) else None,
                trust_env=call.proxy is True,
                transport=transport,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            )
        except (ValueError, ImportError) as error:
            raise ConfigError(f"proxy: {error}", key="proxy") from error

    @property
    def cookie(self) -> str:
        """The ``Cookie`` header with what the server has set so far."""
        return "; ".join(f"{each.name}={each.value}" for each in self._client.cookies.jar)

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
            status, headers, body = await self._ask("GET", target, None)
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
        return await self._must("GET", target, None)

    async def post(self, target: str, body: bytes) -> None:
        """Send a payload.

        :raises HttpFailure: it was not taken
        """
        await self._must("POST", target, body)

    async def _must(self, method: str, target: str, body: bytes | None) -> bytes:
        status, _, answer = await self._ask(method, target, body)
        if status != 200:
            raise HttpFailure(f"the server answered {method} with {status}", status)
        return answer

    async def _ask(
        self, method: str, target: str, body: bytes | None
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = {} if body is None else {"Content-Type": "text/plain;charset=UTF-8"}
        answer = bytearray()
        try:
            async with self._client.stream(
                method,
                self._base + target,
                content=body,
                headers=headers,
                extensions=self._extensions,
            ) as response:
                async for piece in response.aiter_bytes():
                    answer += piece
                    if len(answer) > self._most:
                        raise HttpFailure(str(LimitExceeded("payload_bytes", self._most)))
                return response.status_code, response.headers, bytes(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error) or type(error).__name__
            raise HttpFailure(f"{self._base}: {told}") from error


def _named(url: Url, host: str) -> str:
    return msgspec.structs.replace(url, host=host).authority
