"""The HTTP requests of a connector, by httpx, on asyncio and trio.

httpx comes with the extras of those who need it: they import this when a request is to be made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import anyio
import httpx
import msgspec

from .abc import Call
from .errors import ConfigError, LimitExceeded

__all__ = ["HttpClient", "leave", "read_some"]

CONNECT_SECONDS = 10.0


class HttpClient:
    """Requests to the server of a call, as it wants them: headers, TLS, proxy, the server's name.

    :param transport: an `httpx.AsyncBaseTransport` that makes them, if not the network
    :raises ConfigError: a proxy that httpx cannot use
    """

    __slots__ = ("_base", "_client", "_extensions")

    def __init__(self, call: Call, transport: httpx.AsyncBaseTransport | None = None) -> None:
        url = call.url
        self._base = f"{'https' if url.secure else 'http'}://{url.authority}"
        self._extensions: dict[str, Any] = {}
        headers = [*call.headers]
        if call.server_name is not None:
            named = msgspec.structs.replace(url, host=call.server_name)
            headers.append(("Host", named.authority))
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

    async def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        *,
        stream: bool = False,
    ) -> httpx.Response:
        """Make a request. Redirections are not followed.

        :param stream: the body of the response is read later
        :raises httpx.HTTPError: there is no answer
        :raises httpx.InvalidURL: the URL is none to httpx
        """
        request = self._client.build_request(
            method,
            self._base + target,
            content=body or None,
            headers=headers,
            extensions=self._extensions,
        )
        request.stream = _Body(body)
        return await self._client.send(request, stream=stream)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a request.

    httpx makes an async generator of each, and where the request is cancelled, leaves it to the
    garbage collector: trio takes that amiss.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces([self._data] if self._data else [])


class _Pieces(AsyncIterator[bytes]):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


async def read_some(response: httpx.Response, most: int) -> bytes:
    """The body of a response; of one that has more than ``most`` bytes, a few more than those.

    :raises httpx.HTTPError: it breaks off
    """
    body = bytearray()
    pieces = response.aiter_bytes()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            await leave(pieces)
            break
    return bytes(body)


async def leave(pieces: AsyncIterator[bytes]) -> None:
    """Read no more of a body.

    A cancelled read ends all of httpx's nested generators; to close the outermost would leave the
    others to the garbage collector, which trio takes amiss.
    """
    with anyio.CancelScope() as scope, suppress(httpx.TransportError, LimitExceeded):
        scope.cancel()
        async for _ in pieces:
            pass
