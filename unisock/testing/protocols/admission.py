"""Who may come in, what is known of them, and what an endpoint cannot be told."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from ...errors import ConfigError, ConnectionRejected, HandshakeRejected, Unreachable
from ...handshake import Handshake
from ..conformance.base import eventually
from ..running import Running, task_group
from .base import ProtocolTests, Way

__all__ = ["AdmissionTests", "OptionTests"]

SEEN = ("path", "query", "headers", "cookies", "peer", "scheme", "transport")


class AdmissionTests(ProtocolTests):
    """Refusals with a reason; a handshake that tells the application who asks."""

    async def test_the_applications_refusal_reaches_the_client(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)

        def no(handshake: Handshake) -> None:
            raise HandshakeRejected("no ticket", status=401, code=4501)

        server.authorize(no)
        async with self.serving(server) as running:
            with pytest.raises(ConnectionRejected) as refused:
                await self._enter(running, way)
            assert "no ticket" in refused.value.reason
            if self.capabilities.refusals:
                assert refused.value.status == 401
            assert running.gateway.connections == []
        assert watch.opened == []

    async def test_the_application_knows_who_came_in(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        asked: list[dict[str, Any]] = []

        async def ask(handshake: Handshake) -> str | bool:
            await anyio.lowlevel.checkpoint()
            asked.append({name: getattr(handshake, name) for name in SEEN})
            return handshake.query.get("name") or False

        server.authorize(ask)
        headers = {"Cookie": "ticket=7; other=x", "X-Extra": "yes"}
        path = "/here?name=ann%20b"
        async with self.serving(server) as running:
            client = self.client(running, way, path=path, headers=headers, token="secret")
            async with client as spark:
                there = await watch.spark()
                assert there.user == "ann b"
                await eventually(lambda: there.transport == way.transport)  # by an upgrade
                await eventually(lambda: spark.transport == way.transport)
            with pytest.raises(ConnectionRejected) as refused:
                await self._enter(running, way)
            assert refused.value.status in (403, 0)
        seen = asked[0]
        assert seen["path"].startswith("/here")
        assert seen["query"]["name"] == "ann b"
        assert seen["headers"]["x-extra"] == "yes"
        assert seen["headers"]["authorization"] == "Bearer secret"
        assert seen["cookies"]["ticket"] == "7"
        assert seen["peer"].host in ("127.0.0.1", "::1")
        assert seen["scheme"] == "http"

    async def test_pages_come_in_by_their_origin(self, way: Way) -> None:
        server = self.server(way, origins=["https://good.example"])
        watch = self.echo(server)
        async with self.serving(server) as running:
            for origin in ("http://good.example", "https://evil.example", "null"):
                with pytest.raises(ConnectionRejected) as refused:
                    await self._enter(running, way, origin=origin)
                if self.capabilities.refusals:
                    assert refused.value.status == 403
            assert watch.opened == []
            for origin in ("https://good.example", f"http://{running.place.authority}"):
                await self._enter(running, way, origin=origin)
            assert len(watch.opened) == 2

    async def test_over_the_cap_on_sessions_nobody_comes_in(self, way: Way) -> None:
        server = self.server(way, limits={"connections": 2})
        watch = self.echo(server)
        async with self.serving(server) as running, AsyncExitStack() as stack:
            await stack.enter_async_context(self.client(running, way))
            async with self.client(running, way):
                await watch.spark(1)
                with pytest.raises(Unreachable) as refused:
                    await self._enter(running, way)
                why = refused.value.__cause__
                assert isinstance(why, HandshakeRejected)
                assert "connections = 2" in why.reason
                assert (why.status, why.retry) == (503, True)
                assert len(running.gateway.connections) == 2
            await watch.until(lambda: len(running.hub) == 1)
            await self._enter(running, way)

    async def test_a_client_that_goes_while_it_is_asked_about_leaves_nothing(
        self, way: Way
    ) -> None:
        server = self.server(way)
        watch = self.echo(server)
        asked, answer = anyio.Event(), anyio.Event()

        async def ask(handshake: Handshake) -> str:
            if "later" in handshake.query:
                return "let in"
            asked.set()
            await answer.wait()
            return "too late"

        server.authorize(ask)
        async with self.serving(server) as running:
            async with task_group() as group:
                group.start_soon(self._enter, running, way)
                await asked.wait()
                group.cancel_scope.cancel()
            answer.set()
            async with self.client(running, way, path="/here?later"):
                await watch.until(lambda: any(spark.user == "let in" for spark in watch.opened))
                await watch.until(lambda: len(running.gateway.connections) == 1)

    async def _enter(self, running: Running, way: Way, **more: Any) -> None:
        """Come in, and go again."""
        async with self.client(running, way, **more):
            pass


class OptionTests(ProtocolTests):
    """The endpoint's table ``options``."""

    def test_an_option_that_nobody_knows_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"endpoint /here: options\.no_such_thing"):
            self.server(options={"no_such_thing": 1}).check(self.capabilities.backends[0])

    def test_the_options_of_the_tests_are_in_order(self) -> None:
        for way in self.ways.values():
            self.server(way, options=dict(self.quick)).check(self.capabilities.backends[0])
