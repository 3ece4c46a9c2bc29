"""What stands between a client and a server: nginx, and a small proxy with the vices of others.
And `node`, in which clients run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from .node import HERE, Node

PATIENCE = 40

CONFIGURATION = """
{user}
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    {http}
    server {{
        listen 127.0.0.1:{port}{ssl};
        {server}
    }}
}}
"""

Nginx = Callable[..., str]


@pytest.fixture(scope="session")
def node(node_program: str) -> Generator[Callable[[str], Node]]:
    """``node("sockjs_client.js")``: a Node in which that file's function is called, the same for
    all tests.
    """
    running: dict[str, Node] = {}

    def start(script: str) -> Node:
        if script not in running:
            running[script] = Node(node_program, HERE / script)
        return running[script]

    yield start
    for each in running.values():
        each.close()


@pytest.fixture
def nginx(tmp_path: Path) -> Generator[Nginx]:
    """``nginx("http://127.0.0.1:8000", "proxy_buffering off;")`` starts a real one in front of that
    address, with these lines in its location; returns its own. ``location`` is a whole location in
    their place, ``http`` and ``server`` lines of those blocks, ``tls`` a certificate and its key.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("capability: nginx is not installed: apt-get install nginx-light")
    running: list[subprocess.Popen[bytes]] = []

    def start(
        upstream: str,
        *lines: str,
        location: str = "",
        http: str = "",
        server: str = "",
        tls: tuple[Path, Path] | None = None,
    ) -> str:
        while len(running) > 0:
            stop(running.pop())
        inside = "\n".join([f"proxy_pass {upstream};", *lines])
        if tls is not None:
            server += f"ssl_certificate {tls[0]};\nssl_certificate_key {tls[1]};\n"
        # It is given a socket that listens already, as a running nginx gives its own to the next:
        # so its port is free, and nobody has to wait until it is ready.
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            port = listening.getsockname()[1]
            (tmp_path / "nginx.conf").write_text(
                CONFIGURATION.format(
                    user="user root;" if os.getuid() == 0 else "",  # tmp_path is its alone
                    port=port,
                    ssl=" ssl" if tls else "",
                    http=http,
                    server=f"{server}\n{location or f'location / {{ {inside} }}'}",
                )
            )
            command = [program, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
            number = listening.fileno()
            environment = {**os.environ, "NGINX": f"{number};"}
            running.append(subprocess.Popen(command, env=environment, pass_fds=[number]))
        return f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    def stop(process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, "nginx has ended; its message is among what was captured"
        process.terminate()
        process.wait(PATIENCE)

    yield start
    for process in running:
        stop(process)


class Meddler:
    """A proxy of the kind that is found in offices, hotels and old appliances.

    :param vice: ``strips`` the wish for a WebSocket off requests, ``refuses`` them with 502,
        ``cuts`` WebSockets as soon as they are accepted, ``swallows`` all that is sent over them;
        ``hoards`` strips, and keeps every response back until it has all of it
    :ivar websockets: requests for a WebSocket that came
    """

    def __init__(self, upstream: str, vice: str) -> None:
        host, _, port = upstream.removeprefix("http://").partition(":")
        self._upstream = host, int(port)
        self._vice = vice
        self.websockets = 0

    async def handle(self, client: SocketStream) -> None:
        """One connection, for one request."""
        async with client:
            try:
                await self._pass_on(client)
            except (anyio.IncompleteRead, anyio.EndOfStream, OSError):
                pass
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

    async def _pass_on(self, client: SocketStream) -> None:
        source = BufferedByteReceiveStream(client)
        head = await source.receive_until(b"\r\n\r\n", 65_536)
        asked = re.search(rb"(?im)^upgrade: *websocket", head) is not None
        self.websockets += asked
        if asked and self._vice == "refuses":
            await client.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        passes = asked and self._vice in ("cuts", "swallows")
        if not passes:
            head = re.sub(rb"(?im)\r\n(connection|upgrade|keep-alive):[^\r]*", b"", head)
            head += b"\r\nConnection: close"
        async with await anyio.connect_tcp(*self._upstream) as server:
            await server.send(head + b"\r\n\r\n" + source.buffer)
            if passes:
                answer = await BufferedByteReceiveStream(server).receive_until(b"\r\n\r\n", 65_536)
                await client.send(answer + b"\r\n\r\n")
            if passes and self._vice == "cuts":
                return
            async with anyio.create_task_group() as group:
                group.start_soon(self._carry, client, server, group.cancel_scope, passes)
                await self._carry(server, client, group.cancel_scope, passes)

    async def _carry(
        self,
        source: SocketStream,
        target: SocketStream,
        scope: anyio.CancelScope,
        swallow: bool,
    ) -> None:
        hoarded = b""
        from_server = source.extra(SocketAttribute.remote_port) == self._upstream[1]
        try:
            async for piece in source:
                if self._vice == "hoards" and from_server:
                    hoarded += piece
                elif not swallow:
                    await target.send(piece)
            await target.send(hoarded)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def meddling(upstream: str, vice: str) -> AsyncGenerator[tuple[str, Meddler]]:
    meddler = Meddler(upstream, vice)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, meddler.handle)
            yield f"http://127.0.0.1:{port}", meddler
            group.cancel_scope.cancel()


@pytest.fixture
def meddle() -> Callable[..., object]:
    """``async with meddle(url, vice) as (address, meddler)``: a `Meddler` in front of a server."""
    return meddling
