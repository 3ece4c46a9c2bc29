"""The servers under test: the echo example on an adapter, or that adapter's driver by itself.

``python servers.py unisock tornado`` prints its port and serves ``/echo`` and ``/broadcast``.
"""

import asyncio
import gc
import logging
import runpy
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def listen() -> socket.socket:
    bound = socket.create_server(("127.0.0.1", 0), backlog=4096)
    bound.setblocking(False)
    return bound


def announce(port: int) -> None:
    gc.collect()
    print(port, flush=True)


async def bare_websockets() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    listeners: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path == "/echo":
            async for message in connection:
                await connection.send(message)
            return
        listeners.add(connection)
        try:
            async for message in connection:
                for listener in listeners:
                    await listener.send(message)
        finally:
            listeners.remove(connection)

    bound = listen()
    async with serve(handle, sock=bound, compression=None):
        announce(bound.getsockname()[1])
        await asyncio.Event().wait()


async def bare_tornado() -> None:
    import tornado.httpserver
    import tornado.web
    from tornado.websocket import WebSocketHandler

    listeners: set[WebSocketHandler] = set()

    class Echo(WebSocketHandler):
        def on_message(self, message: Any) -> None:
            self.write_message(message, isinstance(message, bytes))

    class Broadcast(WebSocketHandler):
        def open(self) -> None:
            listeners.add(self)

        def on_message(self, message: Any) -> None:
            for listener in listeners:
                listener.write_message(message)

        def on_close(self) -> None:
            listeners.remove(self)

    application = tornado.web.Application([("/echo", Echo), ("/broadcast", Broadcast)])
    await _tornado(application)


async def bare_sockjs_tornado() -> None:
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
            for listener in listeners:
                listener.send(message)

        def on_close(self) -> None:
            listeners.remove(self)

    routes = SockJSRouter(Echo, "/echo").urls + SockJSRouter(Broadcast, "/broadcast").urls
    await _tornado(tornado.web.Application(routes))


async def bare_aiohttp() -> None:
    from aiohttp import web

    listeners: set[web.WebSocketResponse] = set()

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def broadcast(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        listeners.add(socket)
        try:
            async for message in socket:
                for listener in listeners:
                    await listener.send_str(message.data)
        finally:
            listeners.remove(socket)
        return socket

    application = web.Application()
    application.router.add_get("/echo", echo)
    application.router.add_get("/broadcast", broadcast)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    bound = listen()
    await web.SockSite(runner, bound).start()
    announce(bound.getsockname()[1])
    await asyncio.Event().wait()


async def bare_picows() -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    listeners: set[WSTransport] = set()

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT:
                transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
            elif frame.msg_type is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    class Broadcast(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            listeners.add(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT:
                message = frame.get_payload_as_bytes()
                for listener in listeners:
                    listener.send(WSMsgType.TEXT, message)
            elif frame.msg_type is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            listeners.remove(transport)

    bound = listen()
    server = await ws_create_server(
        lambda request: Echo() if request.path == b"/echo" else Broadcast(),
        sock=bound,
        backlog=4096,
    )
    announce(bound.getsockname()[1])
    await server.serve_forever()


async def _tornado(application: Any) -> None:
    import tornado.httpserver

    bound = listen()
    server = tornado.httpserver.HTTPServer(application)
    server.add_sockets([bound])
    announce(bound.getsockname()[1])
    await asyncio.Event().wait()


async def with_unisock(adapter: str) -> None:
    server = runpy.run_path(str(EXAMPLES / "echo.py"))["server"]
    server.override("benchmark", {"adapter": adapter, "listen": {"port": 0}})
    async with anyio.create_task_group() as group:
        addresses = await group.start(server.serve)
        announce(addresses[0].port)


BARE: dict[str, Callable[[], Awaitable[None]]] = {
    "websockets": bare_websockets,
    "tornado": bare_tornado,
    "aiohttp": bare_aiohttp,
    "sockjs-tornado": bare_sockjs_tornado,
    "picows": bare_picows,
}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    kind, adapter = sys.argv[1:]
    # picows by itself is at its best on uvloop; so both are on it.
    loop = {"use_uvloop": adapter == "picows"}
    if kind == "bare":
        anyio.run(BARE[adapter], backend_options=loop)
    else:
        anyio.run(with_unisock, adapter, backend_options=loop)
