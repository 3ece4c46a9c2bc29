"""hypercorn on trio, within the test: the one host on which HTTP can be had there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Any, cast

import anyio
import msgspec
from anyio.abc import TaskStatus
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve
from hypercorn.utils import wrap_app

from unisock.abc import Gateway, Listener
from unisock.sockets import address_of
from unisock_asgi import AsgiAdapter
from unisock_asgi.front import Front
from unisock_asgi.scope import Receive, Scope, Send

GRACE = 0.5
"""Seconds for what is on its way when the server ends."""


class HypercornAdapter(AsgiAdapter):
    """The adapter ``asgi``, with another host than its own.

    hypercorn keeps the code of a client's close to itself.
    """

    name = "asgi (hypercorn, trio)"
    capabilities = msgspec.structs.replace(
        AsgiAdapter.capabilities, backends=("trio",), close_codes=False
    )

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        front, sockets, over = Front(gateway), gateway.sockets(), anyio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                await front(scope, receive, send)
                return
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})

        config = Config()
        config.errorlog = logging.getLogger("hypercorn.error")
        config.graceful_timeout = GRACE
        app = wrap_app(cast("Any", application), config.wsgi_max_body_size, "asgi")
        last_moments = anyio.CancelScope(shield=True)

        async def run(*, task_status: TaskStatus[object]) -> None:
            with last_moments:
                await worker_serve(
                    app,
                    config,
                    sockets=Sockets([], sockets, []),
                    shutdown_trigger=over.wait,
                    task_status=cast("Any", task_status),
                )

        try:
            async with anyio.create_task_group() as group:
                await group.start(run)
                task_status.started(_Open(sockets))
                try:
                    await anyio.sleep_forever()
                finally:
                    front.close()
                    over.set()
                    last_moments.deadline = anyio.current_time() + 2 * GRACE
        finally:
            for bound in sockets:
                bound.close()


class _Open(Listener):
    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.addresses = tuple(address_of(bound) for bound in sockets)

    def close(self) -> None:
        """hypercorn can stop listening only by ending what is under way."""
