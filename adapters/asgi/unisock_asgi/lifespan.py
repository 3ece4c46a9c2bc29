"""ASGI's lifespan protocol: the server starts with the host, and is drained before it stops.

The specification: https://asgi.readthedocs.io/en/stable/specs/lifespan.html
"""

from __future__ import annotations

import contextlib
import logging

import anyio
from anyio.abc import TaskGroup, TaskStatus

from unisock import ConfigError, Server

from .scope import Application, Event, Receive, Scope, Send

__all__ = ["Lifespan"]

log = logging.getLogger("unisock")


class Lifespan:
    """The life of one host process.

    With another application beside the server, the server starts after it and stops before it, so
    that the server's handlers find all that the application has opened.
    """

    def __init__(self, server: Server, otherwise: Application | None) -> None:
        self._server = server
        self._otherwise = otherwise
        self._stop = anyio.Event()
        self._stopped = anyio.Event()
        self._group: TaskGroup | None = None
        self._receive: Receive
        self._send: Send
        self._heard: list[str] = []
        self._said: list[str] = []
        self._fault: ConfigError | None = None

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take part until the host has stopped."""
        self._receive, self._send = receive, send
        async with anyio.create_task_group() as group:
            self._group = group
            if self._otherwise is not None:
                await self._run_other(self._otherwise, scope)
            # Whatever the other application left out.
            if "lifespan.startup" not in self._heard:
                await self._hear()
            if not self._said:
                with contextlib.suppress(ConfigError):
                    await self._say({"type": "lifespan.startup.complete"})
            if self._said == ["lifespan.startup.complete"]:
                if "lifespan.shutdown" not in self._heard:
                    await self._hear()
                await self._say({"type": "lifespan.shutdown.complete"})
            group.cancel_scope.cancel()

    async def _run_other(self, application: Application, scope: Scope) -> None:
        try:
            await application(scope, self._hear, self._say)
        except Exception as error:
            if self._said and self._fault is None:
                raise
            # So says an application that it has no lifespan; Django does.
            log.debug("the lifespan of the application beside unisock ended with %r", error)

    async def _hear(self) -> Event:
        event = await self._receive()
        self._heard.append(event["type"])
        if event["type"] == "lifespan.shutdown" and self._said == ["lifespan.startup.complete"]:
            self._stop.set()
            await self._stopped.wait()
        return event

    async def _say(self, event: Event) -> None:
        if self._fault is not None:
            raise self._fault  # the host has been told
        if event["type"] == "lifespan.startup.complete":
            assert self._group is not None
            try:
                await self._group.start(self._keep_running)
            except ConfigError as error:
                self._fault = error
                event = {"type": "lifespan.startup.failed", "message": f"unisock: {error}"}
        self._said.append(event["type"])
        await self._send(event)
        if self._fault is not None:
            raise self._fault

    async def _keep_running(self, *, task_status: TaskStatus[None]) -> None:
        try:
            async with self._server:
                task_status.started()
                await self._stop.wait()
        finally:
            self._stopped.set()
