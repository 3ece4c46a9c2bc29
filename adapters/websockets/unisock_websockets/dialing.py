"""From a URL to a link: TCP or a Unix socket, through a proxy or straight, TLS or not."""

from __future__ import annotations

import ssl
from typing import cast

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from websockets.exceptions import InvalidProxy
from websockets.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from websockets.uri import WebSocketURI

from unisock.abc import Call
from unisock.errors import ConfigError, ProtocolError
from unisock.handshake import Address
from unisock.messages import printable
from unisock.runtime import running_backend

from .client_link import AsyncioClientLink, ClientLink
from .responses import read_head
from .stream_link import StreamLink

__all__ = ["dial"]

_NO_WAY_NOW = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses with which a proxy says that it does not reach the server at the moment."""
_SOCKS_NO_WAY = frozenset({1, 3, 4, 5, 6, 91})
"""The same in SOCKS5 (RFC 1928 section 6), and in SOCKS4, which has one for all."""


async def dial(call: Call, uri: WebSocketURI) -> ClientLink:
    """A connected link, ready for the opening handshake.

    :raises OSError: something on the way cannot be reached, or its certificate is not in order
    :raises ssl.SSLError: the server is not who it should be, or speaks no TLS
    :raises ProtocolError: the proxy refuses
    :raises ConfigError: there is no such kind of proxy
    """
    url = call.url
    proxy = _proxy(call, uri) if url.unix is None else None
    if proxy is None and running_backend() == "asyncio":
        return await _on_asyncio(call)
    stream: ByteStream
    if url.unix is not None:
        stream = await anyio.connect_unix(url.unix)
    elif proxy is None:
        stream = await _tcp(url.host, url.port)
    else:
        stream = await _through(proxy, uri)
    if url.secure:
        stream = await _wrap(stream, call.server_name or url.host, call.tls)
    peer = Address(url.unix) if url.unix is not None else Address(url.host, url.port)
    return StreamLink(stream, peer, secure=url.secure)


async def _on_asyncio(call: Call) -> ClientLink:
    url = call.url
    context = (call.tls or ssl.create_default_context()) if url.secure else None
    try:
        return await AsyncioClientLink.open(url, context, call.server_name or url.host)
    except ssl.SSLError:
        raise
    except OSError as error:
        if url.unix is not None:
            raise
        if context is not None and isinstance(error, ConnectionResetError):
            raise _cut_off(call.server_name or url.host) from error
        told = str(error).removeprefix("Multiple exceptions: ")
        raise _unreachable(url.host, url.port, told) from error


def _cut_off(host: str) -> ConnectionError:
    return ConnectionError(f"{host}: the TLS handshake was cut off")


def _unreachable(host: str, port: int, why: object) -> ConnectionError:
    return ConnectionError(f"cannot connect to {host}:{port}: {why}")


def _proxy(call: Call, uri: WebSocketURI) -> Proxy | None:
    name = get_proxy(uri) if call.proxy is True else call.proxy
    if not name:
        return None
    try:
        return parse_proxy(name)
    except (InvalidProxy, ValueError) as error:
        advice = "write it like http://proxy:3128"
        raise ConfigError(f"proxy: {error}; {advice}", key="proxy") from error


async def _tcp(host: str, port: int) -> ByteStream:
    try:
        return await anyio.connect_tcp(host, port)
    except OSError as error:
        reasons = error.__cause__
        while isinstance(reasons, BaseExceptionGroup):
            reasons = cast("BaseExceptionGroup[Exception]", reasons).exceptions[0]
        raise _unreachable(host, port, reasons or error) from error


async def _wrap(stream: ByteStream, host: str, context: ssl.SSLContext | None) -> ByteStream:
    """TLS. A server that closes without TLS's own goodbye is no error: there is WebSocket's."""
    try:
        return await TLSStream.wrap(
            stream,
            server_side=False,
            hostname=host,
            ssl_context=context or ssl.create_default_context(),
            standard_compatible=False,
        )
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, anyio.BrokenResourceError | anyio.EndOfStream):
            raise _cut_off(host) from error
        raise


async def _through(proxy: Proxy, uri: WebSocketURI) -> ByteStream:
    if proxy.scheme.startswith("socks"):
        return await _socks(proxy, uri)
    stream = await _tcp(proxy.host, proxy.port)
    if proxy.scheme == "https":
        stream = await _wrap(stream, proxy.host, None)
    try:
        await stream.send(prepare_connect_request(proxy, uri))
        await _read_consent(stream, proxy)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, anyio.BrokenResourceError | anyio.EndOfStream):
            raise ConnectionError(f"the proxy {proxy.host} hung up") from error
        raise
    return stream


async def _read_consent(stream: ByteStream, proxy: Proxy) -> None:
    """The proxy's answer to CONNECT (RFC 9110 section 9.3.6)."""
    who = f"the proxy {proxy.host}"
    response, _, rest = await read_head(stream.receive, who)
    status, reason = response.status_code, printable(response.reason_phrase, 100)
    told = f"{who} refuses with {status} {reason}".rstrip()
    if status in _NO_WAY_NOW:
        raise ConnectionError(told)
    if not 200 <= status < 300:
        raise ProtocolError(told)
    if rest:  # the server has nothing to say before this side does
        raise ProtocolError(f"{who} speaks in the place of the server")


async def _socks(proxy: Proxy, uri: WebSocketURI) -> ByteStream:
    try:
        from python_socks import ProxyError, ProxyType
        from python_socks.async_.anyio.v2 import Proxy as SocksProxy
    except ImportError as error:
        raise ConfigError(
            "a SOCKS proxy needs: pip install 'unisock-websockets[socks]'", key="proxy"
        ) from error
    kinds = {"socks5h": (ProxyType.SOCKS5, True), "socks5": (ProxyType.SOCKS5, False)}
    kinds |= {"socks4a": (ProxyType.SOCKS4, True), "socks4": (ProxyType.SOCKS4, False)}
    kind, remote_names = kinds[proxy.scheme]
    client = SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password, remote_names)
    try:
        connected = await client.connect(uri.host, uri.port)
    except ProxyError as error:
        told = f"the proxy {proxy.host}: {printable(str(error), 100) or 'it hung up'}"
        hung_up = type(error.__cause__).__name__ == "IncompleteReadError"  # it is not public
        if hung_up or error.error_code in _SOCKS_NO_WAY:
            raise ConnectionError(told) from error
        raise ProtocolError(told) from error
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ConnectionError(f"the proxy {proxy.host} hung up") from error
    return connected.anyio_stream
