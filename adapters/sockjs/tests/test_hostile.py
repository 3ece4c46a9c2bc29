"""Who does not own a session, what is not of the protocol, and what is too much."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from unisock import Address, Handshake, Server, Spark
from unisock.testing.conformance.base import eventually

pytestmark = pytest.mark.anyio

TAKEN = ['c[2010,"Another connection still open"]']
HERE = "https://app.example"
ELSEWHERE = Address("192.0.2.7", 1)


def cookie_of(received: Any) -> str:
    """The cookie that a response sets."""
    return received.download.headers["set-cookie"].partition(";")[0]


async def from_elsewhere(session: Any, path: str, **more: Any) -> tuple[int, str]:
    """The answer to a request of somebody at another address."""
    adapter = session.running.server.adapter
    answer = await adapter.request(f"{session.base}/{path}", method="POST", peer=ELSEWHERE, **more)
    return answer.status, answer.body.decode().strip()


async def test_the_cookie_is_a_secret(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, _):
        session = client(running, "xhr-polling")
        cookie = (await session.ask()).download.headers["set-cookie"]
        name, _, rest = cookie.partition("=")
        secret, _, attributes = rest.partition("; ")
        assert (name, len(secret)) == ("unisock-sockjs", 22)
        assert attributes == "Path=/ws; HttpOnly; SameSite=Strict"
        other = (await client(running, "xhr-polling").ask()).download.headers["set-cookie"]
        assert other != cookie
        known = client(running, "xhr-polling", Cookie=f"a=1; {name}={secret}")
        assert "set-cookie" not in (await known.ask()).download.headers


async def test_a_session_is_bound_to_its_cookie(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, watch):
        session = client(running, "xhr-polling")
        cookie = cookie_of(await session.ask())
        assert (await session.send("mine", Cookie=cookie)).status == 204
        for other in ("", "unisock-sockjs=" + "x" * 22, "unisock-sockjs=é"):
            assert (await session.send("not mine", Cookie=other)).status == 404
            assert await (await session.ask(Cookie=other)).packets() == TAKEN
        (await watch.spark()).send_nowait("news")
        packets = await (await session.ask(Cookie=cookie)).packets()
        assert packets == ['a["mine","news"]']
        # Whoever has the cookie may change the address.
        sent = {"headers": [("Cookie", cookie)], "body": b'["roaming"]'}
        assert await from_elsewhere(session, "xhr_send", **sent) == (204, "")


async def test_a_client_that_shows_a_cookie_at_once_is_bound_at_once(
    sockjs: Any, client: Any
) -> None:
    async with sockjs() as (running, _):
        cookie = cookie_of(await client(running, "xhr-polling").ask())
        session = client(running, "xhr-polling")
        assert await (await session.ask(Cookie=cookie)).packets() == ["o"]
        assert (await session.send("x")).status == 404
        assert (await session.send("x", Cookie=cookie)).status == 204


async def test_without_cookies_a_session_is_bound_to_its_address(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, _):
        session = client(running, "xhr-polling")
        await session.open()
        assert await from_elsewhere(session, "xhr_send", body=b'["x"]') == (
            404,
            "session not found",
        )
        assert await from_elsewhere(session, "xhr") == (200, TAKEN[0])
        assert (await session.send("y")).status == 204
        assert await (await session.ask()).packets() == ['a["y"]']


async def test_cookies_may_be_required(sockjs: Any, client: Any) -> None:
    async with sockjs(options={"cookieless": "refuse"}) as (running, _):
        assert (await running.request("/ws/info")).json["cookie_needed"] is True
        session = client(running, "xhr-polling")
        cookie = cookie_of(await session.ask())
        assert (await session.send("x")).status == 404
        assert (await session.send("x", Cookie=cookie)).status == 204


async def test_the_id_may_be_enough(sockjs: Any, client: Any) -> None:
    options = {"cookieless": "anyone", "session_cookie": False}
    async with sockjs(options=options) as (running, _):
        session = client(running, "xhr-polling")
        assert "set-cookie" not in (await session.ask()).download.headers
        assert await from_elsewhere(session, "xhr_send", body=b'["x"]') == (204, "")
        assert await from_elsewhere(session, "xhr") == (200, 'a["x"]')


async def test_without_cookies_a_session_is_bound_to_its_user(sockjs: Any, client: Any) -> None:
    def prepare(server: Server) -> None:
        @server.authorize
        def who(handshake: Handshake) -> str:
            return handshake.headers["authorization"]

    async with sockjs(prepare=prepare) as (running, watch):
        session = client(running, "xhr-polling", Authorization="alice")
        await session.open()
        assert (await watch.spark()).user == "alice"
        assert (await session.send("x", Authorization="mallory")).status == 404
        assert await (await session.ask(Authorization="mallory")).packets() == TAKEN
        assert (await session.send("x")).status == 204


async def test_a_session_is_bound_to_its_page(sockjs: Any, client: Any) -> None:
    origins = [HERE, "https://other.example"]
    async with sockjs(origins=origins) as (running, _):
        session = client(running, "xhr-polling", Origin=HERE)
        await session.open()
        assert (await session.send("x", Origin="https://other.example")).status == 404
        assert (await session.send("x", Origin="https://evil.example")).status == 403
        assert (await session.send("x")).status == 204


async def test_a_page_of_another_origin_gets_no_cookie_that_it_cannot_keep(
    sockjs: Any, client: Any
) -> None:
    async with sockjs(origins=[HERE], trusted_proxies=["127.0.0.1"]) as (running, _):
        session = client(running, "xhr-polling", Origin=HERE, X_Forwarded_Proto="https")
        cookie = (await session.ask()).download.headers["set-cookie"]
        assert cookie.endswith("; HttpOnly; SameSite=None; Partitioned; Secure")


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming", "eventsource"])
async def test_strangers_are_refused_before_there_is_a_session(
    sockjs: Any, client: Any, transport: str
) -> None:
    async with sockjs() as (running, watch):
        with pytest.raises(AssertionError):
            await client(running, transport, Origin="https://evil.example").ask()
        assert watch.opened == []


@pytest.mark.parametrize("transport", ["jsonp-polling", "htmlfile"])
@pytest.mark.parametrize(
    ("headers", "welcome"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Cookie": "a=1"}, True),
        ({"Referer": "http://memory/page", "Cookie": "a=1"}, True),
        ({"Referer": f"{HERE}/page"}, True),
        ({"Referer": "https://evil.example/page"}, False),
        ({"Referer": "http://[", "Cookie": "a=1"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Cookie": "a=1"}, False),
    ],
)
async def test_script_tags_of_strangers_get_nothing(
    sockjs: Any, client: Any, transport: str, headers: dict[str, str], welcome: bool
) -> None:
    options = {"jsonp": True, "htmlfile": True}
    async with sockjs(options=options, origins=[HERE]) as (running, watch):
        path = {"jsonp-polling": "jsonp", "htmlfile": "htmlfile"}[transport]
        download = await running.stream(f"/ws/0/a/{path}?c=f", headers=[*headers.items()])
        async with download:
            assert download.status == (200 if welcome else 403)
            assert download.headers["x-content-type-options"] == "nosniff" if welcome else True
        assert bool(watch.opened) is welcome


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "Payload expected."),
        ("{}", "Payload expected."),
        ('"x"', "Payload expected."),
        ("[1]", "Payload expected."),
        ("null", "Payload expected."),
        ('["x', "Broken JSON encoding."),
        (b'["\xff"]', "Broken JSON encoding."),
        (b"\x00" * 100, "Broken JSON encoding."),
    ],
)
async def test_what_is_no_message_is_refused(
    sockjs: Any, client: Any, body: bytes | str, told: str
) -> None:
    async with sockjs() as (running, watch):
        session = client(running, "xhr-polling")
        await session.open()
        answer = await session.post(body)
        assert (answer.status, answer.text) == (500, told)
        assert (await session.send("still there")).status == 204
        assert await (await session.ask()).packets() == ['a["still there"]']
        assert watch.errors == []


async def test_forms(sockjs: Any, client: Any) -> None:
    form = "application/x-www-form-urlencoded"
    async with sockjs(options={"jsonp": True}) as (running, _):
        session = client(running, "jsonp-polling")
        await session.open()
        assert (await session.post("d=%5B%22a+b%22%5D", Content_Type=form)).text == "ok"
        assert (await session.post('["%61"]', Content_Type="text/plain")).text == "ok"
        for body in ("", "d=", "p=p", "d=%FF", "&".join(["a=b"] * 99)):
            answer = await session.post(body, Content_Type=form)
            assert (answer.status, answer.text) == (500, "Payload expected.")
        answer = await session.post("d=%5B%22x", Content_Type=form)
        assert (answer.status, answer.text) == (500, "Broken JSON encoding.")
        assert await (await session.ask()).packets() == ['a["a b","%61"]']


async def test_half_an_emoji_is_no_fault(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, _):
        session = client(running, "xhr-polling")
        await session.open()
        assert (await session.post('["a\\ud83d", "\\uDE00", "\\ud83d\\ude00"]')).status == 204
        (packet,) = await (await session.ask()).packets()
        assert json.loads(packet[1:]) == ["a\ufffd", "\ufffd", "😀"]


@pytest.mark.parametrize(
    ("messages", "limits", "options"),
    [
        (["x"] * 11, {}, {"post_messages": 10}),
        (["x" * 100], {}, {"post_bytes": 100}),
    ],
)
async def test_a_post_has_a_limit(
    sockjs: Any,
    client: Any,
    messages: list[str],
    limits: dict[str, int],
    options: dict[str, int],
) -> None:
    async with sockjs(limits=limits, options=options) as (running, _):
        session = client(running, "xhr-polling")
        await session.open()
        assert (await session.send(*messages)).status == 413
        assert (await session.send("x")).status == 204


async def test_a_message_has_a_limit(sockjs: Any, client: Any) -> None:
    async with sockjs(limits={"message_bytes": 100}) as (running, watch):
        session = client(running, "xhr-polling")
        await session.open()
        assert (await session.send("x" * 100, "é" * 50)).status == 204
        await session.ask()
        await session.send("x", "é" * 51, "y")
        assert await (await session.ask()).packets() == ['a["x"]']
        (packet,) = await (await session.ask()).packets()
        assert packet == 'c[1009,"over the limit message_bytes = 100"]'
        assert (await watch.end()).code == 1009


async def test_posts_wait_for_one_another_but_not_too_many(sockjs: Any, client: Any) -> None:
    go_on = anyio.Event()
    statuses: list[int] = []

    def prepare(server: Server) -> None:
        @server.session
        async def read(spark: Any) -> None:
            await go_on.wait()
            async for message in spark:
                await spark.send(message)

    limits = {"inbox_messages": 1}
    async with sockjs(echo=False, prepare=prepare, limits=limits) as (running, _):
        session = client(running, "xhr-streaming")
        received = await session.open()

        async def post(number: int) -> None:
            statuses.append((await session.send(f"{number}a", f"{number}b")).status)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(post, number)
                await anyio.wait_all_tasks_blocked()
            assert statuses == [429]
            go_on.set()
            sent = [f"{number}{letter}" for number in range(9) for letter in "ab"]
            assert await session.messages(received, 18) == sent
        assert sorted(statuses) == [204] * 9 + [429]


async def test_what_waits_for_a_client_has_a_limit(sockjs: Any, client: Any) -> None:
    async with sockjs(limits={"outbox_messages": 10}) as (running, watch):
        session = client(running, "xhr-polling")
        await session.open()
        spark = await watch.spark()
        for number in range(11):
            spark.send_nowait(str(number))
        (packet,) = await (await session.ask()).packets()
        assert packet.startswith("c[4008,")
        assert (await watch.end()).code == 4008
        assert running.gateway.dropped == 11


async def test_sessions_have_a_limit(sockjs: Any, client: Any) -> None:
    async with sockjs(limits={"connections": 2}) as (running, _):
        for _ in range(2):
            await client(running, "xhr-polling").open()
        answer = await running.request("/ws/0/third/xhr", method="POST")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_headers_cannot_be_split(sockjs: Any, client: Any) -> None:
    async with sockjs(options={"jsessionid": True}, origins=["*"]) as (running, _):
        headers = [("Origin", "x\r\nX-Evil: 1"), ("Cookie", "JSESSIONID=x\r\nX-Evil: 1")]
        answer = await running.request("/ws/0/a/xhr", method="POST", headers=headers)
        assert "\r" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming"])
async def test_posts_that_wait_for_a_busy_handler_do_not_hold_up_what_it_sends(
    sockjs: Any, client: Any, transport: str
) -> None:
    """The handler waits for the client to receive, and the POSTs wait for the handler."""

    def prepare(server: Server) -> None:
        @server.on_message
        async def answer(spark: Spark, message: str) -> None:
            await spark.send(message * 50_000)

    limits = {"inbox_messages": 2, "outbox_bytes": 100_000}
    async with sockjs(echo=False, prepare=prepare, overflow="wait", limits=limits) as (running, _):
        session = client(running, transport)
        received = await session.open()
        statuses: list[int] = []
        found: list[str] = []

        async def post(*messages: str) -> None:
            statuses.append((await session.send(*messages)).status)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(post, *[str(number)] * 10)
            found += await session.messages(received, 30)
        assert sorted(found) == [str(number) * 50_000 for number in (0, 1, 2) for _ in range(10)]
        assert statuses == [204] * 3


async def test_posts_that_are_dropped_make_nothing_grow(sockjs: Any, client: Any) -> None:
    """Only what the first brought waits for a busy application."""
    go_on = anyio.Event()
    heard: list[str] = []

    def prepare(server: Server) -> None:
        @server.on_message
        async def take(spark: Spark, message: str) -> None:
            await go_on.wait()
            heard.append(message)

    limits = {"inbox_messages": 1}
    async with sockjs(echo=False, prepare=prepare, limits=limits) as (running, _):
        session = client(running, "xhr-streaming")
        await session.open()
        for number in range(5):
            async with anyio.create_task_group() as group:
                group.start_soon(session.send, f"{number}a", f"{number}b", f"{number}c")
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        go_on.set()
        assert (await session.send("the end")).status == 204
        await eventually(lambda: heard[-1:] == ["the end"])
    assert heard == ["0a", "0b", "0c", "the end"]
