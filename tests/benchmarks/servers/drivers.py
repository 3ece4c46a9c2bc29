"""Each adapter's driver by itself, at its own best: echo on /echo, to all on /broadcast.

``python -m tests.benchmarks.servers.drivers tornado`` prints its port and serves.
"""

import asyncio
import logging
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from . import pauses

ENDLESS = 1 << 40
KEPT = 100_000
UVLOOP = {"picows", "python-engineio", "python-socketio"}
"""They are at their best on it. The others run where `unisock serve` runs their adapters."""


def listen() -> socket.socket:
    bound = socket.create_server(("127.0.0.1", 0), backlog=4096)
    bound.setblocking(False)
    return bound


async def announce(bound: socket.socket) -> None:
    """Print the port, and serve until the end."""
    print(bound.getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def websockets() -> None:
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
        await announce(bound)


async def tornado() -> None:
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

    await _tornado(tornado.web.Application([("/echo", Echo), ("/broadcast", Broadcast)]))


async def sockjs_tornado() -> None:
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
    await _tornado(tornado.web.Application(routes))


async def _tornado(application: Any) -> None:
    import tornado.httpserver

    bound = listen()
    server = tornado.httpserver.HTTPServer(application)
    server.add_sockets([bound])
    await announce(bound)


async def aiohttp() -> None:
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
    await _aiohttp(application)


async def _aiohttp(application: Any) -> None:
    from aiohttp import web

    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    bound = listen()
    await web.SockSite(runner, bound).start()
    await announce(bound)


async def asgi() -> None:
    """An application on uvicorn, with the same parsers that the adapter gives it."""
    import uvicorn

    listeners: set[Any] = set()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        echoes = scope["path"] == "/echo"
        if not echoes:
            listeners.add(send)
        while (event := await receive())["type"] == "websocket.receive":
            reply = {"type": "websocket.send", "text": event["text"]}
            for listener in (send,) if echoes else listeners:
                await listener(reply)
        listeners.discard(send)

    bound = listen()
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    await asyncio.gather(server.serve([bound]), announce(bound))


async def picows() -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    listeners: set[WSTransport] = set()
    history: deque[list[bytes]] = deque(maxlen=KEPT)

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

    class History(Echo):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            history.append([frame.get_payload_as_bytes()])
            super().on_ws_frame(transport, frame)

    kinds: dict[bytes, type[WSListener]] = {b"/echo": Echo, b"/history": History}
    bound = listen()
    pauses.watch()
    server = await ws_create_server(
        lambda request: kinds.get(request.path, Broadcast)(), sock=bound, backlog=4096
    )
    async with server:
        await announce(bound)


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
    await _aiohttp(application)


async def python_socketio() -> None:
    import socketio
    from aiohttp import web

    application = web.Application()
    # Without a task for each event it is at its best.
    server = socketio.AsyncServer(async_mode="aiohttp", async_handlers=False)

    async def echo(sid: str, text: str) -> None:
        await server.emit("echo", text, to=sid)

    async def spread(sid: str, text: str) -> None:
        await server.emit("news", text)

    server.on("echo", echo)
    server.on("spread", spread)
    server.attach(application)
    await _aiohttp(application)


DRIVERS: dict[str, Callable[[], Awaitable[None]]] = {
    "websockets": websockets,
    "tornado": tornado,
    "aiohttp": aiohttp,
    "asgi": asgi,
    "picows": picows,
    "sockjs-tornado": sockjs_tornado,
    "python-engineio": python_engineio,
    "python-socketio": python_socketio,
}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    name = sys.argv[1]
    anyio.run(DRIVERS[name], backend_options={"use_uvloop": name in UVLOOP})
