"""The adapter with a server of its own, which is uvicorn."""

from __future__ import annotations

from anyio.abc import TaskStatus

from unisock import Capabilities, Unsupported
from unisock.abc import Adapter, Gateway, Listener
from unisock.runtime import running_backend

from .front import Front
from .uvicorn_server import UvicornServer

__all__ = ["AsgiAdapter"]


class AsgiAdapter(Adapter):
    """Serves on any ASGI host, as `asgi_app`; by itself it starts uvicorn. It has no options.

    What the host puts on the wire by itself, such as pings, is not among the capabilities.
    """

    name = "asgi"
    capabilities = Capabilities(
        backends=("asyncio", "trio"),
        websocket=True,
        http=True,
        chunk_extensions=True,
        ping=False,
        fragments=False,
        mount=True,
    )

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        if running_backend() != "asyncio":
            raise Unsupported(
                "the adapter 'asgi' starts uvicorn, which runs on asyncio only; for trio, run "
                "`hypercorn --worker-class trio MODULE:app` with app = asgi_app(server)",
                what="trio",
                who=self.name,
            )
        front = Front(gateway)
        server = UvicornServer(front, gateway, task_status.started)
        try:
            await server.serve(gateway.sockets())
        finally:
            front.close()
            await server.cut()
