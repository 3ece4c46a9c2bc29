"""The pytest plugin: fixtures for tests of applications.

They work with anyio's pytest plugin, on asyncio and on trio, and import what they need when they
are used::

    @pytest.mark.anyio
    async def test_greeting(unisock_serve):
        running = await unisock_serve(server, adapter="memory")
        peer = await running.connect("/chat")
        assert await peer.receive() == '{"hello":"you"}'
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

pytest.register_assert_rewrite(
    "unisock.testing.adapters",
    "unisock.testing.conformance",
    "unisock.testing.plugins",
    "unisock.testing.protocols",
)


@pytest.fixture
async def unisock_serve(anyio_backend: Any) -> AsyncGenerator[Callable[..., Awaitable[Any]]]:
    """``await unisock_serve(server, **settings)`` runs a `Server` for this test, on a free port.

    The settings are fields of `Settings`, above all that the server has: ``adapter="memory"`` runs
    it without a socket. It returns a `unisock.testing.running.Running`: ``url``, ``connect`` for
    raw clients that can be slow or vanish, ``request`` for plain HTTP.
    """
    from .running import Running, start, task_group

    started: list[Running] = []
    async with task_group() as group:

        async def serve(server: Any, **settings: Any) -> Running:
            running = await start(server, group, **settings)
            started.append(running)
            return running

        yield serve
        for running in started:
            await running.stop()
        group.cancel_scope.cancel()
