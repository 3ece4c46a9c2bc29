"""Who may come in, and where: caps, origins, the application's word, subprotocols, TLS, sockets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest

from ...errors import HandshakeRejected
from ...handshake import Handshake
from ...server import Server
from ..certificates import Certificates
from ..peers import Refused
from ..running import Running, task_group
from ..wire import Place, read_all
from .base import AdapterTests

__all__ = ["AdmissionTests", "ListeningTests"]


GARBAGE = (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 40, b"GET\r\n\r\n", b"A" * 100_000)
"""What is no HTTP: a TLS hello, empty lines, half a request line, a line without an end."""


class AdmissionTests(AdapterTests):
    """Refusals: with the right status, for the right clients only."""

    async def test_over_the_cap_on_connections_is_503(self) -> None:
        await self._fills_up({"connections": 2}, "connections = 2")

    async def test_over_the_cap_per_address_is_503(self) -> None:
        await self._fills_up({"connections_per_address": 2}, "connections_per_address = 2")

    async def test_a_page_of_another_origin_is_refused(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            for origin in ("http://evil.example", "null", "http://localhost.evil.example"):
                refused = await self.refusal(running, headers={"Origin": origin})
                self.check_refusal(refused, 403)
            assert running.gateway.connections == []
        assert watch.opened == []

    async def test_a_page_of_the_same_origin_is_let_in(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            await self._speaks(running, {"Origin": f"http://{running.authority}"})

    async def test_a_client_without_a_page_is_let_in(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            await self._speaks(running, {})

    async def test_a_page_of_a_listed_origin_is_let_in(self) -> None:
        server = self.server(origins=["https://good.example"])
        self.echo(server)
        async with self.serving(server) as running:
            await self._speaks(running, {"Origin": "https://good.example"})
            refused = await self.refusal(running, headers={"Origin": "http://good.example"})
            self.check_refusal(refused, 403)

    async def test_every_origin_is_let_in_where_that_is_wanted(self) -> None:
        server = self.server(origins=["*"])
        self.echo(server)
        async with self.serving(server) as running:
            await self._speaks(running, {"Origin": "http://anywhere.example"})

    async def test_the_applications_refusal_reaches_the_client(self) -> None:
        server = self.server()
        watch = self.echo(server)

        def no(handshake: Handshake) -> None:
            raise HandshakeRejected(
                "no ticket", status=401, code=4501, retry=True, headers=(("X-Why", "ticket"),)
            )

        server.authorize(no)
        async with self.serving(server) as running:
            refused = await self.refusal(running)
            self.check_refusal(refused, 401, code=4501, reason="no ticket", retry=True)
            if self.capabilities.refusals:
                assert refused.headers["X-Why"] == "ticket"
            assert running.gateway.connections == []
        assert watch.opened == []

    async def test_the_application_knows_who_came_in(self) -> None:
        server = self.server()
        watch = self.echo(server)

        async def ask(handshake: Handshake) -> str | bool:
            await anyio.lowlevel.checkpoint()
            return handshake.query.get("name") or False

        server.authorize(ask)
        async with self.serving(server) as running:
            self.check_refusal(await self.refusal(running), 403)
            cookie = {"Cookie": "ticket=7; other=x", "X-Extra": "yes"}
            await self.connect(running, "/ws?name=ann%20b", headers=cookie)
            spark = await watch.spark()
            assert spark.user == "ann b"
            handshake = spark.handshake
            assert handshake.path.startswith("/ws")
            assert handshake.headers["x-extra"] == "yes"
            assert handshake.cookies["ticket"] == "7"
            assert handshake.method == "GET"
            assert handshake.scheme == "http"
            assert handshake.peer.host in ("127.0.0.1", "::1")

    async def test_a_failing_authorize_is_500(self) -> None:
        server = self.server()

        def fail(handshake: Handshake) -> None:
            raise ZeroDivisionError

        server.authorize(fail)
        async with self.serving(server) as running:
            self.check_refusal(await self.refusal(running), 500)

    async def test_an_authorize_that_takes_too_long_is_503(self) -> None:
        server = self.server(limits={"authorize_seconds": 0.1})
        server.authorize(_forever)
        async with self.serving(server) as running:
            self.check_refusal(await self.refusal(running), 503, code=1013, retry=True)

    async def test_a_client_that_goes_during_authorize_leaves_nothing(self) -> None:
        server = self.server()
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
            if running.in_memory:
                pytest.skip("capability: in memory, nobody goes during the handshake")
            async with task_group() as group:
                group.start_soon(self.connect, running)
                await asked.wait()
                group.cancel_scope.cancel()
            answer.set()
            await self.connect(running, "/ws?later")
            await watch.until(lambda: any(spark.user == "let in" for spark in watch.opened))
            await watch.until(lambda: len(running.gateway.connections) == 1)

    async def test_the_servers_first_subprotocol_wins(self) -> None:
        self.needs("subprotocols")
        server = self.server(endpoint={"subprotocols": ["chat.v2", "chat.v1"]})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running, subprotocols=["chat.v1", "chat.v2"])
            spark = await watch.spark()
            assert peer.subprotocol == spark.handshake.subprotocol == "chat.v2"

    async def test_no_common_subprotocol_is_none(self) -> None:
        self.needs("subprotocols")
        server = self.server(endpoint={"subprotocols": ["chat.v2"]})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running, subprotocols=["other"])
            spark = await watch.spark()
            assert peer.subprotocol == spark.handshake.subprotocol == ""
            await peer.send("hello")
            assert await peer.receive() == "hello"

    def check_refusal(
        self,
        refused: Refused,
        status: int,
        *,
        code: int | None = None,
        reason: str = "",
        retry: bool | None = None,
    ) -> None:
        """A refused client must see why: in the HTTP response, or else in the session's close."""
        if self.capabilities.refusals:
            assert refused.status == status
            assert reason in refused.json["error"]
            assert code in (None, refused.json["code"])
            assert retry in (None, refused.json["retry"])
        elif refused.close is not None:
            assert code in (None, refused.close.code)
            assert reason in refused.close.reason
        else:
            assert refused.status in (0, status)

    async def _fills_up(self, limits: dict[str, Any], reason: str) -> None:
        server = self.server(limits=limits)
        watch = self.echo(server)
        async with self.serving(server) as running:
            first = await self.connect(running)
            await self.connect(running)
            await watch.spark(1)
            refused = await self.refusal(running)
            self.check_refusal(refused, 503, code=1013, reason=reason, retry=True)
            if self.capabilities.refusals:
                assert int(refused.headers["Retry-After"]) > 0
            await first.close()
            await watch.end()
            await self._speaks(running, {})

    async def _speaks(self, running: Running, headers: dict[str, str]) -> None:
        peer = await self.connect(running, headers=headers)
        await peer.send("hello")
        assert await peer.receive() == "hello"


class ListeningTests(AdapterTests):
    """Ports, Unix sockets, TLS, and the time that an opening handshake may take."""

    async def test_port_0_is_a_free_port(self) -> None:
        first, second = self.server(), self.server()
        self.echo(first)
        self.echo(second)
        async with self.serving(first) as one, self.serving(second) as two:
            if one.in_memory:
                pytest.skip("capability: there are no ports in memory")
            assert one.addresses[0].port != two.addresses[0].port
            for running in (one, two):
                peer = await self.connect(running)
                await peer.send("hello")
                assert await peer.receive() == "hello"

    async def test_tls(self) -> None:
        self.needs("tls")
        certificates = Certificates()
        with tempfile.TemporaryDirectory() as folder:
            listen = {"port": 0, "tls": certificates.write(Path(folder))}
            await self._echoes(self.server(), listen=listen, trust=certificates.client)

    async def test_a_client_that_speaks_no_tls_harms_nobody(self) -> None:
        self.needs("tls")
        certificates = Certificates()
        server = self.server()
        self.echo(server)
        with tempfile.TemporaryDirectory() as folder:
            listen = {"port": 0, "tls": certificates.write(Path(folder))}
            async with self.serving(server, listen=listen, trust=certificates.client) as running:
                plain = await Place(running.place.host, running.place.port).dial()
                async with plain:
                    await plain.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert b"200" not in (await read_all(plain))[:20]
                peer = await self.connect(running)
                await peer.send("hello")
                assert await peer.receive() == "hello"

    async def test_a_unix_socket(self) -> None:
        self.needs("unix")
        with tempfile.TemporaryDirectory() as folder:  # short: 107 bytes is all that fits
            for _ in range(2):
                await self._echoes(self.server(), listen={"unix": f"{folder}/s"})
                assert not await anyio.Path(folder, "s").exists()

    async def test_half_a_handshake_is_cut_off(self) -> None:
        server = self.server(limits={"handshake_seconds": 0.2})
        watch = self.echo(server)
        async with self.serving(server) as running:
            if running.in_memory:
                pytest.skip("capability: in memory, a handshake comes whole")
            for half in (b"G", b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: webso"):
                stream = await running.place.dial()
                async with stream:
                    await stream.send(half)
                    await read_all(stream)
            assert running.gateway.connections == []
            peer = await self.connect(running)
            await peer.send("hello")
            assert await peer.receive() == "hello"
        assert len(watch.opened) == 1

    async def test_garbage_is_answered_or_cut_and_harms_nobody(self) -> None:
        server = self.server(limits={"handshake_seconds": 1.0})
        watch = self.echo(server)
        async with self.serving(server) as running:
            if running.in_memory:
                pytest.skip("capability: in memory, a handshake comes whole")
            for garbage in (
                b"\x16\x03\x01\x02\x00\x01\x00",
                b"\r\n" * 40,
                b"GET\r\n\r\n",
                b"A" * 100_000,
            ):
                stream = await running.place.dial()
                async with stream:
                    try:
                        await stream.send(garbage)
                        await read_all(stream)
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        pass
            peer = await self.connect(running)
            await peer.send("hello")
            assert await peer.receive() == "hello"
        assert len(watch.opened) == 1

    async def _echoes(self, server: Server, **more: Any) -> None:
        watch = self.echo(server)
        async with self.serving(server, **more) as running:
            peer = await self.connect(running)
            for message in ("hello", "x" * 200_000):
                await peer.send(message)
                assert await peer.receive() == message
            spark = await watch.spark()
            scheme = "https" if running.place.tls is not None else "http"
            assert spark.handshake.scheme == scheme
            if running.place.unix is not None:
                assert spark.handshake.peer.host == "unix"
            await peer.close()
            await watch.end()


async def _forever(handshake: Handshake) -> None:
    await anyio.sleep_forever()
