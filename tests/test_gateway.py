"""Who may come in, where they go, and what everybody else is answered."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from unisock.abc import Gate, Protocol
from unisock.assets import Asset
from unisock.config import Endpoint
from unisock.errors import HandshakeRejected
from unisock.exchange import Request, Response
from unisock.gateway import network_of
from unisock.handshake import Address, Handshake
from unisock.memory import MemoryAdapter, Refused
from unisock.plain import PlainDialect
from unisock.registry import offer
from unisock.server import Server

pytestmark = pytest.mark.anyio

Serving = Any


def make(**settings: Any) -> Server:
    server = Server(
        folder=None, adapter=MemoryAdapter(), **{"endpoints": [{"path": "/ws"}], **settings}
    )
    server.on_message(lambda spark, message: None)
    return server


async def refused(memory: MemoryAdapter, *args: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    """The status and the body of a refusal."""
    with pytest.raises(Refused) as caught:
        await memory.connect(*args, **options)
    response = caught.value.response
    return response.status, {**json.loads(response.body), "headers": dict(response.headers)}


# Paths


@pytest.mark.parametrize("path", ["/", "/w", "/wss", "/ws/below", "", "*", "//ws", "/%0a\x1b"])
async def test_where_there_is_nothing(serving: Serving, path: str) -> None:
    async with serving(make()) as memory:
        response = await memory.request(path)
        assert response.status == 404
        assert response.body.decode().strip().isprintable()
        with pytest.raises(Refused) as caught:
            await memory.connect(path)
        assert caught.value.status == 404


@pytest.mark.parametrize("target", ["/ws", "/ws/", "/ws?x=1", "/w%73"])
async def test_where_an_endpoint_is(serving: Serving, target: str) -> None:
    async with serving(make()) as memory:
        peer = await memory.connect(target)
        assert peer.closed is None
        assert server_owns(memory, "/ws")
        assert not server_owns(memory, "/other")


def server_owns(memory: MemoryAdapter, path: str) -> bool:
    gateway = memory._gateway  # pyright: ignore[reportPrivateUsage]
    assert gateway is not None
    return gateway.owns(path)


class Deep(Protocol):
    """Owns what is below its path, and says who it is."""

    name = "deep"
    needs = frozenset()
    below = True

    async def answer(self, request: Request) -> Response:
        return Response.text(200, f"{self.gate.endpoint.path} has {request.handshake.path}")


class Flat(Deep):
    below = False


async def test_a_protocol_may_own_the_paths_below(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        for path, kind in (("/a", Deep), ("/a/b", Deep), ("/a/b/flat", Flat), ("/", Flat)):
            gate = cast("Gate", SimpleNamespace(endpoint=Endpoint(path=path)))
            server.gateway.add(gate, kind(gate))
        for asked, answer in [
            ("/a", "/a has /a"),
            ("/a/x/y", "/a has /a/x/y"),
            ("/a/b/c", "/a/b has /a/b/c"),
            ("/a/b/flat", "/a/b/flat has /a/b/flat"),
            ("/a/b/flat/c", "/a/b has /a/b/flat/c"),
            ("/", "/ has /"),
        ]:
            assert (await memory.request(asked)).body.decode().strip() == answer
        assert (await memory.request("/ab")).status == 404


async def test_an_asset_lies_beside_the_endpoints(serving: Serving) -> None:
    server = make()
    server.asset("/", "<p>hello")
    server.asset("/ws", "the page that uses it", "text/plain")
    async with serving(server) as memory:
        assert (await memory.request("/")).body == b"<p>hello"
        assert (await memory.request("/ws")).body == b"the page that uses it"
        assert (await memory.connect("/ws")).closed is None
        assert (await memory.request("/", method="HEAD")).body == b""
        assert (await memory.request("/", method="POST")).status == 405


class Documented(PlainDialect):
    """A dialect with a document beneath its endpoints, and a status of its own for refusals."""

    name = "documented"
    refusal = 401

    def install(self, gate: Gate) -> dict[str, Asset]:
        return {"/about": Asset(gate.endpoint.path.encode(), "text/plain")}


async def test_a_dialect_has_documents_and_a_status_for_refusals(serving: Serving) -> None:
    offer("dialect", "documented", Documented)
    server = make(endpoints=[{"path": path, "dialect": "documented"} for path in ("/", "/a", "/b")])
    server.asset("/b/about", "the application's own")
    server.endpoint("/a").authorize(lambda handshake: False)

    @server.endpoint("/b").authorize
    def refuse(handshake: Handshake) -> None:
        raise HandshakeRejected("not even that", status=403)

    async with serving(server) as memory:
        told = [await memory.request(f"{path}/about") for path in ("", "/a", "/b")]
        assert [answer.body for answer in told] == [b"/", b"/a", b"the application's own"]
        assert [server_owns(memory, path) for path in ("/a/about", "/a/else")] == [True, False]
        assert [(await refused(memory, path))[0] for path in ("/a", "/b")] == [401, 403]


async def test_a_fault_of_ours_is_a_500_without_details(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Flat):
        async def answer(self, request: Request) -> Response:
            raise RuntimeError("the secret of the house")

    server = make()
    async with serving(server) as memory:
        gate = cast("Gate", SimpleNamespace(endpoint=Endpoint(path="/broken")))
        server.gateway.add(gate, Broken(gate))
        response = await memory.request("/broken")
    assert response.status == 500
    assert b"secret" not in response.body
    assert "the secret of the house" in caplog.text


# Origins


def page(origin: str, host: str = "example.com") -> list[tuple[str, str]]:
    return [("Origin", origin), ("Host", host)]


@pytest.mark.parametrize(
    ("settings", "origin", "welcome"),
    [
        ({}, "http://example.com", True),
        ({}, "http://evil.com", False),
        ({}, "null", False),
        ({"origins": ["https://app.com"]}, "https://app.com", True),
        ({"origins": ["https://app.com"]}, "https://APP.com", True),
        ({"origins": ["https://app.com"]}, "http://app.com", False),
        ({"origins": ["https://app.com"]}, "https://app.com.evil.com", False),
        ({"origins": ["https://app.com"]}, "http://example.com", True),
        ({"origins": ["*"]}, "null", True),
        ({"origins": ["*"], "endpoints": [{"path": "/ws", "origins": []}]}, "http://x.com", False),
        ({"endpoints": [{"path": "/ws", "origins": ["http://x.com"]}]}, "http://x.com", True),
    ],
)
async def test_which_pages_may_connect(
    serving: Serving, settings: Any, origin: str, welcome: bool
) -> None:
    async with serving(make(**settings)) as memory:
        if welcome:
            assert (await memory.connect(headers=page(origin))).closed is None
        else:
            status, body = await refused(memory, headers=page(origin))
            assert status == 403
            assert "the setting `origins`" in body["error"]
            assert not body["retry"]


async def test_a_program_without_a_page_may_connect(serving: Serving) -> None:
    async with serving(make()) as memory:
        assert (await memory.connect(headers=[("Host", "example.com")])).closed is None


async def test_an_odd_origin_can_be_told_and_logged(serving: Serving) -> None:
    async with serving(make()) as memory:
        _, body = await refused(memory, headers=page("http://\x1b[31m\ud800" + "x" * 5000))
        assert body["error"].isprintable()
        assert len(body["error"]) < 400


# Subprotocols


@pytest.mark.parametrize(
    ("spoken", "offered", "chosen"),
    [
        (["b", "a"], "a, b", "b"),  # the server's order counts
        (["a"], "b", ""),
        (["a"], None, ""),
        ([], "a", ""),
    ],
)
async def test_the_subprotocol_is_chosen(
    serving: Serving, spoken: list[str], offered: str | None, chosen: str
) -> None:
    server = make(endpoints=[{"path": "/ws", "subprotocols": spoken}])
    headers = [] if offered is None else [("Sec-WebSocket-Protocol", offered)]
    async with serving(server) as memory:
        peer = await memory.connect(headers=headers)
        assert peer.handshake.subprotocol == chosen


# Caps


async def test_the_server_is_full_until_somebody_leaves(serving: Serving) -> None:
    server = make(limits={"connections": 2})
    async with serving(server) as memory:
        first, _ = await memory.connect(), await memory.connect()
        status, body = await refused(memory)
        assert (status, body["code"], body["retry"]) == (503, 1013, True)
        assert "connections = 2" in body["error"]
        assert body["headers"]["Retry-After"] == "5"
        await first.close()
        assert (await memory.connect()).closed is None


async def test_one_address_is_not_everybody(serving: Serving) -> None:
    server = make(limits={"connections_per_address": 2}, trusted_proxies=["10.0.0.1"])
    async with serving(server) as memory:

        def at(host: str) -> dict[str, Any]:
            return {"peer": Address(host, 1)}

        for host in ("1.1.1.1", "1.1.1.1", "2001:db8:0:1::1", "2001:db8:0:1::2"):
            await memory.connect(**at(host))
        for host in ("1.1.1.1", "2001:db8:0:1::3", "::ffff:1.1.1.1"):
            status, body = await refused(memory, **at(host))
            assert status == 503
            assert "connections_per_address = 2" in body["error"]
        proxied = {"headers": [("X-Forwarded-For", "1.1.1.1")], **at("10.0.0.1")}
        assert (await refused(memory, **proxied))[0] == 503
        for host in ("1.1.1.2", "2001:db8:0:2::1", "::ffff:1.1.1.3"):
            await memory.connect(**at(host))


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix", "unix"),
        ("odd:name", "odd:name"),
    ],
)
def test_what_counts_as_one_address(host: str, network: str) -> None:
    assert network_of(host) == network


async def test_a_cap_holds_for_those_who_wait_to_be_authorized(serving: Serving) -> None:
    server, gate = make(limits={"connections": 1}), anyio.Event()

    @server.authorize
    async def wait(handshake: Handshake) -> None:
        await gate.wait()

    ends: list[int] = []
    async with serving(server) as memory:

        async def connect() -> None:
            peer = await memory.connect()
            await anyio.wait_all_tasks_blocked()
            ends.append(peer.closed.code if peer.closed is not None else 0)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(connect)
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert sorted(ends) == [0, 1013, 1013]
        assert len(server.hub) == 1


# authorize


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("answer", [None, True, {"name": "Ada"}, 0, ""])
async def test_whoever_is_let_in_has_a_user(
    serving: Serving, answer: Any, asynchronous: bool
) -> None:
    server = make()

    async def later(handshake: Handshake) -> Any:
        await anyio.lowlevel.checkpoint()
        return answer

    server.authorize(later if asynchronous else lambda handshake: answer)
    async with serving(server) as memory:
        await memory.connect()
        [spark] = server.hub
        assert spark.user == answer


async def raise_late(handshake: Handshake) -> None:
    raise KeyError("secret")


def raise_rejection(handshake: Handshake) -> None:
    raise HandshakeRejected("log in first", status=401, headers=(("WWW-Authenticate", "Basic"),))


async def hang(handshake: Handshake) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("authorize", "status", "told", "retry"),
    [
        (lambda handshake: False, 403, "Forbidden", False),
        (raise_rejection, 401, "log in first", False),
        (raise_late, 500, "Internal server error", False),
        (hang, 503, "took too long", True),
    ],
)
async def test_whoever_is_turned_away_is_told_why(
    serving: Serving, authorize: Any, status: int, told: str, retry: bool
) -> None:
    server = make(limits={"authorize_seconds": 0.05})
    server.authorize(authorize)
    async with serving(server) as memory:
        got, body = await refused(memory)
        assert (got, body["retry"]) == (status, retry)
        assert told in body["error"]
        assert "secret" not in json.dumps(body)
        assert ("WWW-Authenticate" in body["headers"]) is (status == 401)
        assert server.gateway.rejections == 1
        assert len(server.hub) == 0


async def test_an_endpoint_may_have_its_own_authorize(serving: Serving) -> None:
    server = make()
    server.authorize(lambda handshake: False)
    server.endpoint("/open").authorize(lambda handshake: "anybody")
    async with serving(server) as memory:
        assert (await refused(memory, "/ws"))[0] == 403
        assert (await memory.connect("/open")).closed is None


async def test_a_message_over_the_limit_closes_with_1009(serving: Serving) -> None:
    server = make(
        limits={"message_bytes": 10},
        endpoints=[{"path": "/ws"}, {"path": "/big", "limits": {"message_bytes": 100}}],
    )
    async with serving(server) as memory:
        for path, most in (("/ws", 10), ("/big", 100)):
            peer = await memory.connect(path)
            await peer.send('"' + "x" * (most - 2) + '"')
            assert peer.closed is None
            await peer.send('"' + "x" * (most - 1) + '"')
            close = await peer.wait_closed()
            assert close.code == 1009
            assert f"message_bytes = {most}" in close.reason
