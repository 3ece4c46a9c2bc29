"""From a URL to a byte stream: TCP or a Unix socket, through a proxy or straight, TLS or not."""

from __future__ import annotations

import ssl
from typing import cast

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from websockets.exceptions import InvalidProxy
from websockets.http11 import Response
from websockets.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from websockets.streams import StreamReader
from websockets.uri import WebSocketURI

from unisock.abc import Call
from unisock.errors import ConfigError, ProtocolError
from unisock.messages import printable

__all__ = ["dial"]


async def dial(call: Call, uri: WebSocketURI) -> ByteStream:
    """A connected stream, ready for the opening handshake.

    :raises OSError: something on the way cannot be reached, or its certificate is not in order
    :raises ProtocolError: the proxy refuses
    :raises ConfigError: there is no such kind of proxy
    """
    url = call.url
    stream: ByteStream
    if url.unix is not None:
        stream = await anyio.connect_unix(url.unix)
    else:
        proxy = _proxy(call, uri)
        if proxy is None:
            stream = await _tcp(url.host, url.port)
        else:
            stream = await _through(proxy, uri)
    if url.secure:
        stream = await _wrap(stream, url.host, call.tls)
    return stream


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
        raise ConnectionError(f"cannot connect to {host}:{port}: {reasons or error}") from error


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
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ConnectionError(f"{host}: the TLS handshake was cut off") from error
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        raise


async def _through(proxy: Proxy, uri: WebSocketURI) -> ByteStream:
    if proxy.scheme.startswith("socks"):
        return await _socks(proxy, uri)
    stream = await _tcp(proxy.host, proxy.port)
    if proxy.scheme == "https":
        stream = await _wrap(stream, proxy.host, None)
    try:
        await stream.send(prepare_connect_request(proxy, uri))
        response = await _read_response(stream)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, anyio.BrokenResourceError | anyio.EndOfStream | EOFError):
            raise ConnectionError(f"the proxy {proxy.host} hung up") from error
        raise
    if not 200 <= response.status_code < 300:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        reason = printable(response.reason_phrase, 100)
        raise ProtocolError(
            f"the proxy {proxy.host} refuses with {response.status_code} {reason}".rstrip()
        )
    return stream


async def _read_response(stream: ByteStream) -> Response:
    """The proxy's answer to CONNECT (RFC 9110 section 9.3.6).

    After it, the server has nothing to say before the client does, so nothing is read too far.
    """
    reader = StreamReader()
    parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True)
    while True:
        try:
            next(parser)
        except StopIteration as done:
            return cast("Response", done.value)
        except (ValueError, LookupError, NotImplementedError) as error:
            raise ProtocolError(f"the proxy does not speak HTTP: {error}") from error
        reader.feed_data(await stream.receive())


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
        raise ProtocolError(f"the proxy {proxy.host}: {error}") from error
    return connected.anyio_stream
