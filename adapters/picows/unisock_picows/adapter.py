"""The adapter: its options, its event loop, and how it serves."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import anyio
from anyio.abc import TaskStatus

from unisock.abc import Adapter, Gateway, Listener
from unisock.capabilities import Capabilities
from unisock.errors import ConfigError

from .door import Door, Doors
from .http import HttpClient
from .options import read_options
from .parts import choose_parts

__all__ = ["PicowsAdapter"]


class PicowsAdapter(Adapter):
    """Owns the socket; HTTP/1.1 is read by httptools, WebSocket frames by picows.

    :raises ConfigError: an option is unknown, of the wrong kind, or asks for what is not installed;
        see `Options`
    """

    name = "picows"
    capabilities = Capabilities(websocket=True, http=True, chunk_extensions=True)

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._options = read_options(options)
        self._parts = choose_parts(self._options.native)

    def backend_options(self, backend: str) -> dict[str, Any]:
        if backend != "asyncio":
            return {}
        wanted = self._options.uvloop
        installed = find_spec("uvloop") is not None
        if wanted and not installed:
            raise ConfigError(
                'options.picows.uvloop: uvloop is not installed. Try: pip install "unisock-picows'
                '[uvloop]"',
                key="options.picows.uvloop",
            )
        return {"use_uvloop": installed if wanted is None else wanted}

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        door = Door(gateway, self._options, self._parts)
        doors = Doors(gateway, lambda: HttpClient(door), lean=self._options.lean)
        try:
            task_status.started(doors)
            await anyio.sleep_forever()
        finally:
            doors.close()
            with anyio.CancelScope(shield=True):
                await doors.stop()
                await door.abort()
