"""Sessions that poll: handshake, messages both ways, faults, bounds, and the end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import ConnectionClosed, EncodeError, Limits, Sent

pytestmark = pytest.mark.anyio


async def test_the_handshake(serve: Any) -> None:
    async with serve(max_payload=1_000_000) as rig:
        client = await rig.open()
        assert client.told == {
            "sid": client.sid,
            "upgrades": ["websocket"],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        }
        assert rig.header(client.opening, "content-type") == "text/plain; charset=UTF-8"
        assert rig.header(client.opening, "cache-control") == "no-store"
        (spark,) = rig.sparks
        assert spark.id == client.sid
        assert len(client.sid) == 20
        assert spark.handshake.transport == "polling"


async def test_what_the_endpoint_has_holds_unless_an_option_says_otherwise(serve: Any) -> None:
    endpoint = {"heartbeat": {"interval": 7.5, "timeout": 3}, "limits": {"message_bytes": 5000}}
    async with serve(endpoint, ping_interval=None, ping_timeout=None) as rig:
        told = (await rig.open()).told
        assert (told["pingInterval"], told["pingTimeout"]) == (7500, 3000)
        assert told["maxPayload"] == 6684  # 5000 bytes in base64, and the length before them


async def test_without_a_heartbeat_of_the_endpoint_there_is_engineios(serve: Any) -> None:
    async with serve({"heartbeat": {"interval": 0}}, ping_interval=None) as rig:
        assert (await rig.open()).told["pingInterval"] == 25_000


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=webtransport", 0),
        ("GET", "EIO=4&transport=polling&sid=who", 1),
        ("POST", "EIO=4&transport=polling", 2),
        ("PUT", "EIO=4&transport=polling", 2),
        ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "transport=polling", 5),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "EIO=04&transport=polling", 5),
        ("GET", "EIO=abc&transport=polling", 5),
    ],
)
async def test_what_is_no_handshake(serve: Any, method: str, query: str, code: int) -> None:
    async with serve() as rig:
        answer = await rig.request(query, method=method)
        assert answer.status == 400
        assert rig.code(answer) == code
        assert not rig.sparks


async def test_messages_both_ways(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        await client.say("4hello\x1e4wörld\x1ebAQIDBA==\x1e6\x1e4")
        assert rig.seen == ["hello", "wörld", b"\x01\x02\x03\x04", ""]
        assert await client.poll() == "4hello\x1e4wörld\x1ebAQIDBA==\x1e4"


async def test_what_is_answered_to_a_post(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        answer = await client.post("4hello")
        assert (answer.status, answer.body) == (200, b"ok")
        assert rig.header(answer, "content-type") == "text/html"


async def test_a_poll_waits_and_takes_all_of_one_go(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            assert not poll.over
            assert rig.sparks[0].send_nowait("one") is Sent.SENT
            assert rig.sparks[0].send_nowait("two") is Sent.SENT
            assert await poll.payload() == "4one\x1e4two"
        assert rig.sparks[0].send_nowait("three") is Sent.QUEUED
        assert await client.poll() == "4three"


async def test_a_session_without_a_poll_is_slow(serve: Any) -> None:
    endpoint = {"overflow": "drop-newest", "limits": {"outbox_messages": 2}}
    async with serve(endpoint) as rig:
        client = await rig.open()
        outcomes = [rig.sparks[0].send_nowait(str(number)) for number in range(3)]
        assert outcomes == [Sent.QUEUED, Sent.QUEUED, Sent.DROPPED]
        assert await client.poll() == "40\x1e41"


async def test_one_poll_takes_so_much_and_no_more(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        for letter in "abc":
            rig.sparks[0].send_nowait(letter * 200_000)
        assert [len(await client.poll()) for _ in range(2)] == [400_003, 200_001]


async def test_send_waits_for_the_poll(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        rig.sparks[0].send_nowait("early")
        drained = anyio.Event()

        async def drain() -> None:
            await rig.sparks[0].connection.drain()
            drained.set()

        rig.group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        assert not drained.is_set()
        assert await client.poll() == "4early"
        async with client.waiting():
            with anyio.fail_after(30):
                await drained.wait()


async def test_a_second_poll_ends_the_session(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as first:
            second = await client.get()
            assert (second.status, rig.code(second)) == (400, 3)
            assert await first.payload() == "1"
        assert rig.code(await client.get()) == 1
        assert (rig.closes[0].code, rig.closes[0].reason) == (1002, "transport error")


async def test_a_poll_that_is_dropped_ends_the_session(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting():
            pass
        assert rig.code(await client.get()) == 1
        assert rig.closes[0].reason == "transport error"
        assert rig.gateway.connections == []


async def test_what_a_dropped_poll_had_taken_counts_as_dropped(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            poll.scope.cancel()
            rig.sparks[0].send_nowait("lost")
        assert rig.gateway.dropped == 1


@pytest.mark.parametrize("body", ["abc", "", "4hi\x1e", "b*", "4hello\x1e9", b"4\xff"])
async def test_a_bad_payload_ends_the_session(serve: Any, body: str | bytes) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            answer = await client.post(body)
            assert (answer.status, rig.code(answer)) == (400, 3)
            assert (await poll.payload())[-1] == "1"
        assert rig.code(await client.get()) == 1
        assert rig.closes[0].reason == "parse error"


async def test_revision_4_has_no_binary_posts(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        answer = await client.post(b"4hello", "application/octet-stream")
        assert answer.status == 400
        assert rig.closes


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_other_methods(serve: Any, method: str) -> None:
    async with serve() as rig:
        client = await rig.open()
        answer = await rig.request(client.query, method=method)
        assert (answer.status, rig.code(answer)) == (400, 2)
        await client.say("4still there")


async def test_the_client_closes(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            await client.say("4last\x1e1\x1e4too late")
            assert await poll.payload() == "4last"
        assert rig.seen == ["last"]
        assert (rig.closes[0].code, rig.closes[0].reason) == (1000, "transport close")
        assert rig.code(await client.get()) == 1


async def test_a_close_of_the_client_frees_its_poll(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            await client.say("1")
            assert await poll.payload() == "6"


async def test_the_server_closes_a_waiting_client(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            rig.sparks[0].close_nowait(4001, "enough")
            assert await poll.payload() == "1"
        assert (rig.closes[0].code, rig.closes[0].reason) == (4001, "enough")
        assert rig.code(await client.get()) == 1


async def test_what_was_sent_goes_before_the_close(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        rig.sparks[0].send_nowait("goodbye")
        rig.sparks[0].close_nowait(4001)
        assert rig.sparks[0].connection.closed is None
        await client.say("4nobody hears this")
        assert await client.poll() == "4goodbye\x1e1"
        assert rig.seen == []
        assert rig.closes[0].code == 4001


async def test_a_close_in_the_open_handler(serve: Any) -> None:
    async with serve(on_open=lambda spark: spark.close_nowait(3000, "Go away!")) as rig:
        client = await rig.open()
        assert await client.poll() == "1"
        assert rig.code(await client.get()) == 1


async def test_a_client_that_never_asks_for_the_close_is_forgotten(serve: Any) -> None:
    async with serve({"limits": {"close_seconds": 0.2}}) as rig:
        await rig.open()
        rig.sparks[0].close_nowait(4001)
        rig.pass_time(0.3)
        assert rig.closes[0].code == 4001
        assert rig.gateway.connections == []


async def test_a_post_over_the_limit(serve: Any) -> None:
    async with serve(max_payload=100) as rig:
        client = await rig.open()
        answer = await client.post("4" + "x" * 100)
        assert (answer.status, answer.body) == (413, b"")
        await client.say("4" + "x" * 99)
        assert rig.seen == ["x" * 99]


async def test_a_post_with_too_many_packets(serve: Any) -> None:
    async with serve(max_packets=3) as rig:
        client = await rig.open()
        await client.say("6\x1e6\x1e6")
        assert (await client.post("6\x1e6\x1e6\x1e6")).status == 413
        assert rig.closes


async def test_a_post_waits_while_the_application_is_busy(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        connection = rig.sparks[0].connection
        connection.hold()
        answers: list[Any] = []

        async def post() -> None:
            answers.append(await client.post("4one\x1e4two"))

        rig.group.start_soon(post)
        await anyio.wait_all_tasks_blocked()
        assert (rig.seen, answers) == ([], [])
        rig.pass_time(5)  # it is not the client that is silent
        connection.release()
        await anyio.wait_all_tasks_blocked()
        assert rig.seen == ["one", "two"]
        assert answers[0].body == b"ok"


async def test_a_second_post_ends_the_session(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        rig.sparks[0].connection.hold()
        rig.group.start_soon(client.post, "4one")
        await anyio.wait_all_tasks_blocked()
        answer = await client.post("4two")
        assert (answer.status, rig.code(answer)) == (400, 3)
        assert rig.closes[0].reason == "transport error"


async def test_a_full_server_turns_clients_away(serve: Any) -> None:
    async with serve({"limits": {}}) as rig:
        rig.gateway.limits = Limits(connections=1)
        await rig.open()
        answer = await rig.request("EIO=4&transport=polling")
        assert (answer.status, rig.code(answer)) == (503, 4)
        assert rig.header(answer, "retry-after") == "5"


async def test_text_that_polling_cannot_carry_is_refused(serve: Any) -> None:
    async with serve() as rig:
        await rig.open()
        with pytest.raises(EncodeError, match=r"U\+001E"):
            rig.sparks[0].send_nowait("a\x1eb")


async def test_nothing_is_sent_after_the_end(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        await client.say("1")
        assert rig.sparks[0].send_nowait("x") is Sent.DROPPED
        with pytest.raises(ConnectionClosed):
            await rig.sparks[0].connection.drain()


async def test_until_a_client_is_told_of_the_end_its_posts_are_no_error(serve: Any) -> None:
    """It would take the error for the end, and not read the last words."""
    async with serve() as rig:
        client = await rig.open()
        async with client.waiting() as poll:
            spark = rig.sparks[0]
            spark.send_nowait("last words")
            spark.close_nowait(4000, "bye")
            assert rig.closes
            late = await client.post("4too late")
            assert (late.status, late.body) == (200, b"ok")
            assert await poll.payload() == "4last words\x1e1"
        assert rig.seen == []
        answer = await client.post("4far too late")
        assert (answer.status, rig.code(answer)) == (400, 1)
