"""The adapter: which loop it runs on, and what it can do there."""

from __future__ import annotations

import sys
from typing import Any

from anyio.abc import TaskStatus

from unisock.abc import Adapter, Gateway, Listener
from unisock.capabilities import Capabilities

from . import on_asyncio
from .options import read_options

__all__ = ["WebsocketsAdapter"]


class WebsocketsAdapter(Adapter):
    """Owns the socket, and leaves HTTP/1.1 and RFC 6455 to the websockets library.

    :raises ConfigError: an option is unknown or of the wrong kind; see `Options`
    """

    name = "websockets"
    capabilities = Capabilities(backends=("asyncio", "trio"), websocket=True, compression=True)

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._options = read_options(options)

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        if _on_trio():
            from . import on_trio  # trio need not be installed

            await on_trio.serve(gateway, self._options, task_status)
        else:
            await on_asyncio.serve(gateway, self._options, task_status)


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())
