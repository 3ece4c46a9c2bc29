"""The conformance suite for plugins.

A test file of ten lines runs it, in memory, on asyncio and on trio::

    from unisock.testing.plugins import PluginSuite
    from unisock_rooms import Rooms


    class TestConformance(PluginSuite):
        plugin = Rooms

        async def use(self, plugin, spark):
            plugin.join(spark, "lobby")

        def kept(self, plugin):
            return len(plugin)
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

import anyio
import pytest

from ..errors import UnisockError
from ..plugins import Plugins
from ..server import Server
from ..spark import Spark
from .conformance.base import Watch
from .peers import Peer
from .running import Running, serving

__all__ = ["HOSTILE", "PluginSuite"]

HOSTILE = (
    "null",
    "[]",
    "{}",
    '""',
    "0",
    "-1e999",
    "123456789012345678901234567890",
    '"__proto__"',
    '{"__proto__":{"x":1},"constructor":null,"":0}',
    '["join",null,{"room":[]}]',
    '{"type":"join","room":{"a":[]},"id":-1,"args":null}',
    '{"event":1,"name":"__class__","data":"\\u0000"}',
    "[" * 200 + "]" * 200,
    '"' + "x" * 100_000 + '"',
    "[" * 100_000,
    '{"a":',
    "\x00",
    "",
)
"""Text messages that a client may send although nobody wants them."""


class PluginSuite:
    """Derive a test class from it.

    :cvar plugin: the plugin's class
    :cvar patience: the seconds after which a test gives up, for what should come at once
    """

    pytestmark = pytest.mark.anyio

    plugin: ClassVar[type[Any]]
    patience: ClassVar[float] = 40.0

    async def use(self, plugin: Any, spark: Spark) -> None:
        """Have the plugin keep something for this spark. Override it; otherwise less is tested."""

    def kept(self, plugin: Any) -> int | None:
        """How much the plugin keeps at the moment, in whatever unit; `None` if it cannot tell."""
        return None

    def make(self) -> Any:
        """A new plugin. Override it where the class wants arguments."""
        return self.plugin()

    def test_every_hook_is_known_and_marked(self) -> None:
        plugin = self.make()
        plugins = Plugins([plugin])
        hooks = [name for name in dir(plugin) if name.startswith("unisock_")]
        unmarked = [name for name in hooks if not plugins.implements(name)]
        assert not unmarked, f"without @hookimpl, these are never called: {unmarked}"

    async def test_a_server_finds_it_by_its_class(self) -> None:
        plugin: object = self.make()
        server = self._server(plugin)
        async with serving(server):
            kind: type[object] = type(plugin)
            assert server.plugin(kind) is plugin

    async def test_sparks_that_went_are_forgotten(self) -> None:
        plugin = self.make()
        server = self._server(plugin)
        before = self.kept(plugin)
        with anyio.fail_after(self.patience):
            async with serving(server) as running:
                gone = await self._come_and_go(plugin, running)
                assert self.kept(plugin) == before
                gc.collect()
                held = [reference for reference in gone if reference() is not None]
                assert not held, f"something refers to {len(held)} of {len(gone)} sparks that went"

    async def test_it_starts_again_with_its_server(self) -> None:
        plugin = self.make()
        server = self._server(plugin)
        before = self.kept(plugin)
        for _ in range(2):
            with anyio.fail_after(self.patience):
                async with serving(server) as running:
                    peer = await running.connect()
                    await self.use(plugin, _only(running))
                    await self._speaks(peer)
            assert self.kept(plugin) == before

    async def test_two_servers_share_nothing(self) -> None:
        one, two = self.make(), self.make()
        with anyio.fail_after(self.patience):
            async with serving(self._server(one)) as first, serving(self._server(two)) as second:
                here, there = await first.connect(), await second.connect()
                before = self.kept(two)
                await self.use(one, _only(first))
                assert self.kept(two) == before
                await self._speaks(here)
                await self._speaks(there)  # and nothing else has come to it

    async def test_hostile_messages_harm_nobody(self) -> None:
        plugin = self.make()
        server = self._server(plugin)
        watch = Watch(server)
        with anyio.fail_after(self.patience):
            async with serving(server) as running:
                bystander = await running.connect()
                await self.use(plugin, _only(running))
                for message in HOSTILE:
                    hostile = await running.connect()
                    await self.use(plugin, await watch.spark(len(watch.opened) - 1))
                    await hostile.send(message)
                    await self._speaks(bystander)
                    await hostile.close()
        ours = [error for error in watch.errors if not isinstance(error, UnisockError)]
        assert not ours, f"a client can make it raise {ours}"

    def _server(self, plugin: object) -> Server:
        """A server in memory that answers ``"ping"``."""
        server = Server(adapter="memory", folder=None, plugins=[plugin])

        def answer(spark: Spark, payload: object) -> None:
            if payload == "ping":
                spark.send_nowait("pong")

        server.on_message(answer)
        return server

    async def _come_and_go(self, plugin: object, running: Running) -> list[weakref.ref[Spark]]:
        """Sparks that the plugin knew: a third each closes, vanishes, and is closed."""
        peers = [await running.connect() for _ in range(12)]
        for spark in running.hub:
            await self.use(plugin, spark)
        gone = [weakref.ref(spark) for spark in running.hub]
        for closes, vanishes in zip(peers[:4], peers[4:8], strict=True):
            await closes.close()
            await vanishes.drop()
        for spark in running.hub:
            await spark.close(4000)
        await running.gateway.sparks.wait_empty()
        return gone

    async def _speaks(self, peer: Peer) -> None:
        await peer.send('"ping"')
        assert await peer.receive() == '"pong"'


def _only(running: Running) -> Spark:
    """The one spark of a server."""
    (spark,) = running.hub
    return spark
