"""The ways to a server: through proxies of every kind, along redirections, past TLS."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener

from unisock import ConfigError, ConnectionRejected, ProtocolError, Server, Spark, connect
from unisock.errors import Redirected, Unreachable
from unisock.redial import Backoff

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def echo(unisock_serve: Any) -> Any:
    """A server that sends back, and tells who connected."""
    return await serve_echo(unisock_serve)


async def serve_echo(unisock_serve: Any, **settings: Any) -> Any:
    server = Server(folder=None)
    server.endpoint("/ws")
    server.on_message(Spark.send)
    return await unisock_serve(server, adapter="websockets", **settings)


async def speaks(url: str, **options: Any) -> Spark:
    """Connect, and be answered."""
    with anyio.fail_after(30):
        async with connect(url, **options) as spark:
            await spark.send("x" * 100_000)
            assert len(await spark.receive()) == 100_000
            return spark


Handler = Callable[[ByteStream], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """The port of a server of the test's own."""

    async def guarded(stream: ByteStream) -> None:
        quiet = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
        async with stream:
            with contextlib.suppress(*quiet):
                await handle(stream)

    listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listeners.extra(anyio.abc.SocketAttribute.local_port)
    listener: Any = listeners
    if tls is not None:
        listener = TLSListener(listeners, tls, standard_compatible=False)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, guarded)
        yield port
        group.cancel_scope.cancel()


async def read_until(stream: ByteStream, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += await stream.receive(1)
    return data


async def join(one: ByteStream, other: ByteStream) -> None:
    """Carry bytes both ways until either ends."""
    async with anyio.create_task_group() as group:

        async def carry(source: ByteStream, sink: ByteStream) -> None:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, OSError):
                while True:
                    await sink.send(await source.receive())
            group.cancel_scope.cancel()

        group.start_soon(carry, one, other)
        await carry(other, one)


class HttpProxy:
    """A proxy that knows CONNECT (RFC 9110 section 9.3.6).

    :ivar heads: what it was asked
    :ivar answers: statuses that it answers first
    """

    def __init__(self, *answers: str) -> None:
        self.heads: list[str] = []
        self.answers = [*answers]

    async def __call__(self, stream: ByteStream) -> None:
        head = (await read_until(stream, b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.answers:
            await stream.send(f"HTTP/1.1 {self.answers.pop(0)}\r\n\r\n".encode())
            return
        host, _, port = head.split()[1].rpartition(":")
        async with await anyio.connect_tcp(host, int(port)) as there:
            await stream.send(b"HTTP/1.1 200 Fine\r\nX-Proxy: yes\r\n\r\n")
            await join(stream, there)


class SocksProxy:
    """A SOCKS5 proxy (RFC 1928), with user and password (RFC 1929).

    :ivar asked: the addresses it was asked for
    :ivar answers: codes that it answers first
    """

    def __init__(self, *answers: int, user: bytes = b"") -> None:
        self.asked: list[str] = []
        self.answers = [*answers]
        self.user = user

    async def __call__(self, stream: ByteStream) -> None:
        async def read(count: int) -> bytes:
            data = b""
            while len(data) < count:
                data += await stream.receive(count - len(data))
            return data

        methods = await read((await read(2))[1])
        method = 2 if self.user else 0
        assert method in methods
        await stream.send(bytes((5, method)))
        if method:
            user = await read((await read(2))[1])
            await read((await read(1))[0])
            await stream.send(bytes((1, user != self.user)))
        kind = (await read(4))[3]
        if kind == 1:
            host = ".".join(map(str, await read(4)))
        else:
            host = (await read((await read(1))[0])).decode()
        port = int.from_bytes(await read(2), "big")
        self.asked.append(f"{host}:{port}")
        code = self.answers.pop(0) if self.answers else 0
        reply = bytes((5, code, 0, 1)) + bytes(6)
        if code:
            await stream.send(reply)
            return
        async with await anyio.connect_tcp(host, port) as there:
            await stream.send(reply)
            await join(stream, there)


async def test_an_http_proxy(echo: Any) -> None:
    proxy = HttpProxy()
    async with listening(proxy) as port:
        await speaks(echo.url + "/ws", proxy=f"http://us%65r:pw@127.0.0.1:{port}")
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {echo.url.removeprefix('ws://')} HTTP/1.1\r\n")
    credentials = base64.b64encode(b"user:pw").decode()
    assert f"Proxy-Authorization: Basic {credentials}\r\n" in head


async def test_tls_goes_through_a_proxy(
    unisock_serve: Any, authority: trustme.CA, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    file = tmp_path / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(file))
    tls = {"certificate": str(file)}
    secure = await serve_echo(unisock_serve, listen={"port": 0, "tls": tls})
    async with listening(HttpProxy()) as port, listening(SocksProxy()) as socks:
        await speaks(secure.url + "/ws", proxy=f"http://127.0.0.1:{port}", tls=trust)
        await speaks(secure.url + "/ws", proxy=f"socks5h://127.0.0.1:{socks}", tls=trust)
        with pytest.raises(ssl.SSLCertVerificationError):
            await speaks(secure.url + "/ws", proxy=f"http://127.0.0.1:{port}")


async def test_a_proxy_behind_tls(
    echo: Any, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    async with listening(HttpProxy(), context) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await speaks(echo.url + "/ws", proxy=f"https://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        await speaks(echo.url + "/ws", proxy=f"https://127.0.0.1:{port}")


async def test_a_socks_proxy(echo: Any) -> None:
    proxy = SocksProxy(user=b"ada")
    there = echo.url.removeprefix("ws://127.0.0.1")
    async with listening(proxy) as port:
        await speaks(f"ws://localhost{there}/ws", proxy=f"socks5h://ada:pw@127.0.0.1:{port}")
        await speaks(f"ws://127.0.0.1{there}/ws", proxy=f"socks5://ada:pw@127.0.0.1:{port}")
        # Who looks up the name: the proxy with socks5h, this side with socks5.
        assert proxy.asked == [f"localhost{there}", f"127.0.0.1{there}"]
        with pytest.raises(ProtocolError, match="the proxy 127"):
            await speaks(echo.url + "/ws", proxy=f"socks5://bob:pw@127.0.0.1:{port}")


async def test_proxies_of_the_environment(echo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = HttpProxy()
    async with listening(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        await speaks(echo.url + "/ws")
        assert len(proxy.heads) == 1
        await speaks(echo.url + "/ws", proxy=False)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await speaks(echo.url + "/ws")
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Later", "504 Too Slow"])
async def test_a_proxy_that_does_not_reach_the_server_now_is_asked_again(
    echo: Any, status: str
) -> None:
    proxy = HttpProxy(status, status)
    async with listening(proxy) as port:
        await speaks(echo.url + "/ws", proxy=f"http://127.0.0.1:{port}", reconnect=AT_ONCE)
    assert len(proxy.heads) == 3


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6])
async def test_so_is_a_socks_proxy(echo: Any, code: int) -> None:
    proxy = SocksProxy(code)
    async with listening(proxy) as port:
        await speaks(echo.url + "/ws", proxy=f"socks5h://127.0.0.1:{port}", reconnect=AT_ONCE)
    assert len(proxy.asked) == 2


async def test_a_proxy_that_refuses_is_final(echo: Any) -> None:
    async with listening(HttpProxy("407 Who are you?")) as port:
        with pytest.raises(ProtocolError, match=r"refuses with 407 Who are you\?"):
            await speaks(echo.url + "/ws", proxy=f"http://127.0.0.1:{port}")
    async with listening(SocksProxy(2)) as port:
        with pytest.raises(ProtocolError, match="the proxy"):
            await speaks(echo.url + "/ws", proxy=f"socks5h://127.0.0.1:{port}")


async def test_a_proxy_that_hangs_up_or_is_not_there_is_tried_again(echo: Any) -> None:
    async def hang_up(stream: ByteStream) -> None:
        await stream.receive(1)

    async with listening(hang_up) as port:
        for kind in ("http", "socks5h"):
            with pytest.raises(Unreachable, match=r"the proxy|hung up|127"):
                await speaks(echo.url + "/ws", proxy=f"{kind}://127.0.0.1:{port}", reconnect=False)
    for kind in ("http", "socks5h"):
        with pytest.raises(Unreachable):
            await speaks(echo.url + "/ws", proxy=f"{kind}://127.0.0.1:{port}", reconnect=False)


@pytest.mark.parametrize(
    "answer",
    [b"220 mail.example ESMTP\r\n", b"HTTP/1.1 abc Fine\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nx"],
)
async def test_what_is_no_proxy_is_final(echo: Any, answer: bytes) -> None:
    async def talk(stream: ByteStream) -> None:
        await stream.send(answer)
        await anyio.sleep_forever()

    async with listening(talk) as port:
        with pytest.raises(ProtocolError, match="the proxy 127"):
            await speaks(echo.url + "/ws", proxy=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "ftp://h:1", "http://"])
async def test_a_proxy_is_written_as_a_url(echo: Any, proxy: str) -> None:
    with pytest.raises(ConfigError, match="write it like http://proxy:3128"):
        await speaks(echo.url + "/ws", proxy=proxy)


# Redirections.


def redirecting(*answers: str) -> tuple[Handler, list[str]]:
    """A server that sends its clients elsewhere, and what it was asked."""
    heads: list[str] = []

    async def handle(stream: ByteStream) -> None:
        heads.append((await read_until(stream, b"\r\n\r\n")).decode())
        await stream.send(answers[min(len(heads), len(answers)) - 1].encode())
        await anyio.sleep_forever()  # and keeps the connection

    return handle, heads


async def test_redirections_are_followed_and_secrets_stay(echo: Any) -> None:
    handle, heads = redirecting(
        "HTTP/1.1 301 Moved\r\nLocation: /b\r\n\r\n",
        f"HTTP/1.1 307 There\r\nLocation: {echo.http_url}/ws\r\nLocation: /twice\r\n\r\n",
    )
    async with listening(handle) as port:
        spark = await speaks(f"ws://127.0.0.1:{port}/a", token="secret", redirects=2)
        assert ["GET /a" in heads[0], "GET /b" in heads[1]] == [True, True]
        assert all("Authorization: Bearer secret" in head for head in heads)
        assert spark.handshake.headers.get("Authorization") is None
        with pytest.raises(Redirected):
            await speaks(f"ws://127.0.0.1:{port}/a")


# Refusals as servers of every kind make them.


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nlogi",
        "HTTP/1.1 401 No\r\nContent-Length: 1000000\r\n\r\n" + "x" * 1_000_000,
        "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlogi\r\n0\r\n\r\n",
        "HTTP/1.1 401 No\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 401 No\r\n\r\n",
        "HTTP/1.0 401 No\r\n\r\nlogi",
    ],
)
async def test_a_refusal_is_one_whatever_its_body(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unisock_websockets.responses.BODY_SECONDS", 0.05)
    handle, _ = redirecting(answer)
    async with listening(handle) as port:
        with anyio.fail_after(30), pytest.raises(ConnectionRejected) as error:
            async with connect(f"ws://127.0.0.1:{port}/"):
                pass
    assert error.value.status == 401


async def test_a_large_503_is_tried_again(echo: Any) -> None:
    asked: list[int] = []

    async def handle(stream: ByteStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        asked.append(1)
        if len(asked) == 1:
            await stream.send(b"HTTP/1.1 503 Later\r\nRetry-After: 0\r\n\r\n" + b"x" * 200_000)
            return
        host, _, port = echo.url.removeprefix("ws://").rpartition(":")
        await stream.send(f"HTTP/1.1 302 x\r\nLocation: ws://{host}:{port}/ws\r\n\r\n".encode())

    async with listening(handle) as port:
        await speaks(f"ws://127.0.0.1:{port}/", redirects=1, reconnect=AT_ONCE)
    assert len(asked) == 2


async def test_a_server_that_knows_no_such_client_says_so_for_good(
    authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    async def handle(stream: ByteStream) -> None: ...

    async with listening(handle, context) as port:
        with anyio.fail_after(30), pytest.raises((ssl.SSLError, Unreachable)):
            async with connect(f"wss://127.0.0.1:{port}/", tls=trust, reconnect=False):
                pass
