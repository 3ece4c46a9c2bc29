"""``unisock demo``"""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from anyio.abc import TaskStatus

from .. import launch
from ..abc import Adapter
from ..config import Settings
from ..errors import UnisockError
from ..gateway import ServerGateway
from ..handshake import Address
from ..server import Server
from .demo_endpoints import offer
from .demo_libraries import build
from .options import apply, server_options
from .output import Command, say
from .target import example, load_file

__all__ = ["command"]

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@click.command(
    "demo",
    cls=Command,
    epilog="""\b
Examples:
  unisock demo
  unisock demo --adapter picows --port 8001 --open
  unisock demo --host 0.0.0.0
""",
)
@server_options
@click.option("--open", "look", is_flag=True, help="Open the page in your browser.")
def command(look: bool, **options: Any) -> None:
    """Serve a chat to every client at once: WebSocket, Socket.IO, Primus, SockJS, curl and others.

    The page has a panel for each, all in one room on one port, and says how the server sees them.
    The chat has rooms, private messages, and a live feed of what the server does. Stop the server
    and start it with another adapter: the open pages come back by themselves.

    Adapter and endpoints are chosen for the demo, unless the configuration or an option says them.
    """
    server = load_file(example("chat.py")).server
    apply(server, options)
    left_out = [offer(server), build(server), alone(server)]

    def invite(addresses: Sequence[Address]) -> None:
        url = page(server.settings, addresses)
        if url is None:
            return
        say(f"the chat is at {url} – open it in two windows; Ctrl-C ends it")
        say(f"it speaks {spoken(server)}")
        for what in filter(None, left_out):
            say(what, colour="yellow")
        if look and not webbrowser.open(url):
            say("no browser was found to open it", colour="yellow")

    launch.run(Announced(server, invite), ())


def spoken(server: Server) -> str:
    """What is spoken where."""
    default = next(iter(server.adapter.capabilities.sessions), "websocket")
    return ", ".join(
        f"{one.protocol or default if one.dialect == 'plain' else one.dialect} at {one.path}"
        for one in server.settings.endpoints
    )


def alone(server: Server) -> str | None:
    """Let it be one process: its rooms are in one, and so are sessions over several requests."""
    workers = server.settings.workers
    if workers == 1:
        return None
    server.override("the demo", {"workers": 1})
    return f"workers = {workers} is left out: the chat is in one process"


def page(settings: Settings, addresses: Sequence[Address]) -> str | None:
    """The address for a browser on this machine; `None` for a Unix socket."""
    host, port = addresses[0]
    if not port:
        return None
    scheme = "http" if settings.listen.tls is None else "https"
    return f"{scheme}://{Address(EVERYWHERE.get(host, host), port)}/"


class Announced:
    """A server that tells where it listens, as `launch.run` takes it."""

    def __init__(self, server: Server, tell: Callable[[Sequence[Address]], None]) -> None:
        self._server = server
        self._tell = tell

    @property
    def settings(self) -> Settings:
        return self._server.settings

    @property
    def adapter(self) -> Adapter:
        return self._server.adapter

    def override(self, source: str, settings: Mapping[str, Any]) -> None:
        self._server.override(source, settings)

    def check(self, backend: str | None = None, *, processes: int = 1) -> ServerGateway:
        return self._server.check(backend, processes=processes)

    async def serve(
        self,
        *,
        sockets: Sequence[socket.socket] | None = None,
        processes: int = 1,
        task_status: TaskStatus[tuple[Any, ...]],
    ) -> None:
        await self._server.serve(
            sockets=sockets, processes=processes, task_status=_Told(task_status, self._tell)
        )

    async def drain(self, deadline: float | None = None) -> None:
        await self._server.drain(deadline)


class _Told(TaskStatus[tuple[Any, ...]]):
    def __init__(
        self,
        inner: TaskStatus[tuple[Any, ...]],
        tell: Callable[[Sequence[Address]], None],
    ) -> None:
        self._inner = inner
        self._tell = tell

    def started(self, value: tuple[Any, ...] | None = None) -> None:
        if value is None:
            raise UnisockError("the server did not say where it listens")
        self._inner.started(value)
        self._tell(value)
