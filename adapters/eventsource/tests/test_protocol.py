"""The protocol, from clients that read the stream by hand."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import ConfigError, EncodeError, Overflow, Server, Spark
from unisock.testing.download import Download
from unisock.testing.running import Running, serving
from unisock_eventsource import EventsourceProtocol, last_event_id, publish
from unisock_eventsource.framing import EVENTS, event
from unisock_eventsource.parser import EventParser

pytestmark = pytest.mark.anyio

PATIENCE = 40


def make(*, codec: str = "json", options: Any = None, **settings: Any) -> Server:
    endpoint = {
        "path": "/events",
        "protocol": "eventsource",
        "codec": codec,
        "options": options or {},
    }
    return Server(folder=None, adapter="memory", endpoints=[endpoint], **settings)


class Listener:
    """A client that parses the stream as a browser does."""

    def __init__(self, download: Download) -> None:
        self.download = download
        self._parser = EventParser(10_000_000)
        self._events: list[Any] = []

    async def next(self) -> tuple[str, str, str]:
        """Name, data and id of the next event."""
        while not self._events:
            piece = await self.download.receive()
            if not piece:
                raise EOFError
            self._events += self._parser.feed(piece)
        heard = self._events.pop(0)
        return heard.name, heard.data, heard.id


async def listen(running: Running, path: str = "/events", **headers: str) -> Listener:
    pairs = [("Accept", "text/event-stream"), *headers.items()]
    return Listener(await running.stream(path, headers=pairs))


async def test_messages_are_events() -> None:
    server = make()
    async with serving(server) as running:
        with anyio.fail_after(PATIENCE):
            listener = await listen(running)
            assert listener.download.status == 200
            headers = listener.download.headers
            assert headers["content-type"] == "text/event-stream; charset=utf-8"
            assert "no-store" in headers["cache-control"]
            assert await listener.download.receive() == b"retry: 5000\n\n"
            (spark,) = running.hub
            assert spark.transport == "eventsource"
            for payload in (None, 0, "", "two\nlines", {"ü": ["漢字 😀"]}):
                await spark.send(payload)
                name, data, id = await listener.next()
                assert (name, json.loads(data), id) == ("message", payload, "")


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "\n", "", " x", "\ufeffx", "data: y"])
async def test_text_keeps_its_lines(text: str) -> None:
    async with serving(make(codec="text")) as running:
        with anyio.fail_after(PATIENCE):
            listener = await listen(running)
            (spark,) = running.hub
            await spark.send(text)
            assert (await listener.next())[1] == text.replace("\r\n", "\n").replace("\r", "\n")


async def test_named_events_with_ids_and_where_a_client_was() -> None:
    server = make()
    seen: list[str] = []
    server.on_open(lambda spark: seen.append(last_event_id(spark)))
    async with serving(server) as running:
        with anyio.fail_after(PATIENCE):
            first = await listen(running)
            second = await listen(running, **{"Last-Event-ID": "41"})
            third = await listen(running, "/events?lastEventId=40")
            assert seen == ["", "41", "40"]
            done = publish(server.everyone, {"n": 1}, event_name="tick", id="42")
            assert (done.sent, done.dropped) == (3, 0)
            for listener in (first, second, third):
                assert await listener.next() == ("tick", '{"n":1}', "42")


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\r\ndata: x", "\0"])
async def test_fields_cannot_be_put_in(bad: str) -> None:
    server = make()
    async with serving(server) as running:
        listener = await listen(running)
        with pytest.raises(ValueError, match="event has no line ends"):
            publish(server.everyone, "x", event_name=bad)
        with pytest.raises(ValueError, match="id has no line ends"):
            publish(server.everyone, "x", id=bad)
        publish(server.everyone, "y")
        assert (await listener.next())[1] == '"y"'


async def test_publish_to_a_mixed_audience() -> None:
    server = make()
    server.endpoint("/ws")
    async with serving(server) as running:
        with anyio.fail_after(PATIENCE):
            listener, peer = await listen(running), await running.connect("/ws", kind="memory")
            publish(server.everyone, [1], event_name="n", id="1")
            assert await listener.next() == ("n", "[1]", "1")
            assert await peer.receive() == "[1]"


async def test_the_servers_close_says_why() -> None:
    async with serving(make()) as running:
        with anyio.fail_after(PATIENCE):
            listener = await listen(running)
            (spark,) = running.hub
            await spark.send("last")
            await spark.close(4000, "enough")
            assert (await listener.next())[1] == '"last"'
            name, data, _ = await listener.next()
            assert (name, json.loads(data)) == (
                "close",
                {"code": 4000, "reason": "enough", "reconnect": True},
            )
            with pytest.raises(EOFError):
                await listener.next()


async def test_a_listener_that_goes_is_noticed() -> None:
    server = make()
    closes: list[int] = []
    server.on_close(lambda spark, close: closes.append(close.code))
    async with serving(server) as running:
        listener = await listen(running)
        (spark,) = running.hub
        await listener.download.drop()
        assert closes == [1005]
        assert spark.closed is not None
        assert not running.gateway.connections


async def test_silence_is_broken_by_comments() -> None:
    async with serving(make(options={"ping": 0.1, "retry": 7})) as running:
        with anyio.fail_after(PATIENCE):
            listener = await listen(running)
            assert await listener.download.receive() == b"retry: 7\n\n"
            assert await listener.download.receive() == b":\n\n"
            assert await listener.download.receive() == b":\n\n"


async def test_a_slow_listener_is_bounded() -> None:
    server = make(
        limits={"outbox_messages": 5, "close_seconds": 0.2}, overflow=Overflow.DROP_NEWEST
    )
    async with serving(server) as running:
        with anyio.fail_after(PATIENCE):
            await listen(running)
            (spark,) = running.hub
            outcomes = [spark.send_nowait("x" * 10_000) for _ in range(20)]
            assert sorted({outcome.name for outcome in outcomes}) == ["DROPPED", "QUEUED", "SENT"]


async def test_bytes_have_no_form() -> None:
    async with serving(make(codec="raw")) as running:
        await listen(running)
        (spark,) = running.hub
        with pytest.raises(EncodeError, match="text"):
            await spark.send(b"x")


def test_a_binary_codec_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="the protocol 'eventsource' carry text only"):
        make(codec="msgpack").check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retri": 1}, "did you mean retry"),
        ({"retry": -1}, "0 or more"),
        ({"ping": -1}, "0 for no pings"),
        ({"ping": "x"}, "ping"),
    ],
    ids=str,
)
def test_wrong_options(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make(options=options).check()
    assert "endpoint /events: options" in str(caught.value)


async def test_who_may_listen() -> None:
    server = make(origins=["https://good.example"])
    server.authorize(lambda handshake: handshake.query.get("key") == "1")
    async with serving(server) as running:
        assert (await running.request("/events")).status == 403
        evil = [("Origin", "https://evil.example")]
        assert (await running.request("/events?key=1", headers=evil)).status == 403
        good = await listen(running, "/events?key=1", Origin="https://good.example")
        assert good.download.headers["access-control-allow-origin"] == "https://good.example"
        assert good.download.headers["access-control-allow-credentials"] == "true"
        preflight = await running.request(
            "/events", method="OPTIONS", headers=[("Origin", "https://good.example")]
        )
        assert preflight.status == 204
        assert "GET" in preflight.headers["access-control-allow-methods"]
        preflight = await running.request("/events", method="OPTIONS", headers=evil)
        assert "access-control-allow-methods" not in preflight.headers


async def test_other_methods_and_paths() -> None:
    async with serving(make()) as running:
        answer = await running.request("/events", method="DELETE")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS")
        assert (await running.request("/events/x", method="POST")).status == 404


class Talk:
    """A server that takes posts, and a client with its address."""

    def __init__(self, running: Running, listener: Listener, address: str) -> None:
        self.running = running
        self.listener = listener
        self.address = address

    async def post(self, body: bytes, **headers: str) -> int:
        answer = await self.running.request(
            self.address, method="POST", body=body, headers=[*headers.items()]
        )
        return answer.status


async def talk(running: Running, **headers: str) -> Talk:
    listener = await listen(running, **headers)
    name, data, _ = await listener.next()
    assert name == "post"
    return Talk(running, listener, data)


def echoing(**settings: Any) -> Server:
    server = make(options={"post": True}, **settings)

    @server.on_message
    async def echo(spark: Spark, payload: object) -> None:
        await spark.send(payload)

    return server


async def test_what_is_posted_is_a_message() -> None:
    async with serving(echoing()) as running:
        with anyio.fail_after(PATIENCE):
            ann, bob = await talk(running), await talk(running)
            for payload in (b"1", b'{"a":null}', '"漢"'.encode()):
                assert await ann.post(payload) == 204
                assert (await ann.listener.next())[1] == payload.decode()
            assert await bob.post(b"2") == 204
            assert (await bob.listener.next())[1] == "2"


async def test_what_cannot_be_posted() -> None:
    async with serving(echoing(limits={"message_bytes": 100})) as running:
        with anyio.fail_after(PATIENCE):
            ann = await talk(running)
            assert await ann.post(b"x" * 101) == 413
            assert await ann.post(b"\xff") == 400
            assert await ann.post(b"1", Origin="https://evil.example") == 403
            wrong = await running.request("/events/unknown", method="POST", body=b"1")
            assert wrong.status == 404
            got = await running.request(ann.address)
            assert (got.status, got.headers["allow"]) == (405, "POST, OPTIONS")
            await ann.listener.download.drop()
            assert await ann.post(b"1") == 404


async def test_a_page_cannot_post_to_anothers_address() -> None:
    server = echoing(origins=["https://a.example", "https://b.example"])
    async with serving(server) as running:
        ann = await talk(running, Origin="https://a.example")
        assert await ann.post(b"1", Origin="https://b.example") == 404
        assert await ann.post(b"1", Origin="https://a.example") == 204


async def test_posts_to_a_busy_handler_wait_and_are_bounded() -> None:
    server = make(options={"post": True}, limits={"inbox_messages": 2})
    go, refused = anyio.Event(), anyio.Event()
    statuses: list[int] = []

    @server.on_message
    async def work(spark: Spark, payload: object) -> None:
        await go.wait()
        await spark.send(payload)

    async with serving(server) as running:
        with anyio.fail_after(PATIENCE):
            ann = await talk(running)

            async def post(number: int) -> None:
                statuses.append(await ann.post(b"%d" % number))
                if statuses.count(429) == 5:
                    refused.set()

            async with anyio.create_task_group() as group:
                for number in range(75):
                    group.start_soon(post, number)
                await refused.wait()
                assert set(statuses) <= {204, 429}
                assert statuses.count(204) < 5
                go.set()
            taken = statuses.count(204)
            assert 60 < taken < 70
            heard = [int((await ann.listener.next())[1]) for _ in range(taken)]
            assert len({*heard}) == taken
            assert {*heard} <= {*range(75)}


@given(st.text(), st.sampled_from(["", "tick"]), st.none() | st.just("7"))
def test_a_browser_reads_what_was_written(data: str, name: str, id: str | None) -> None:
    try:
        written = event(data, name, id)
    except EncodeError:
        return
    (heard,) = EventParser(1_000_000).feed(written)
    assert heard.data == data.replace("\r\n", "\n").replace("\r", "\n")
    assert (heard.name, heard.id) == (name or "message", id or "")


def test_one_framing_for_all() -> None:
    assert EventsourceProtocol.binary is False
    assert EVENTS.frame("x") == b"data: x\n\n"
