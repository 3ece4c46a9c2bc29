"""The text frames of websocket-multiplex, from clients that write them by hand, and from ours."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unisock import EncodeError, Server, Spark
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_multiplex.topics import escape, unescape

from .conftest import House, Open, Raw

pytestmark = pytest.mark.anyio

ENDPOINT = {"path": "/ws", "dialect": "websocket-multiplex", "codec": "text"}


def topics(codec: str = "text", **settings: Any) -> House:
    return House(endpoints=[{**ENDPOINT, "codec": codec}], **settings)


async def ask(raw: Raw, text: str) -> Any:
    await raw.peer.send(text)
    return await raw.peer.receive()


async def test_topics_carry_text(opened: Open) -> None:
    house = topics()
    house.channel("ann")
    house.channel("a, ü")
    async with opened(house) as raw:
        assert not len(house.server.hub)  # the connection itself has no spark
        await raw.peer.send("sub,ann")
        await raw.peer.send("sub,a%2C%20%FC")
        for payload in ("", "a,b,,c", "null", "msg,ann,inner", "漢字 😀"):
            assert await ask(raw, f"msg,ann,{payload}") == f"msg,ann,{payload}"
            assert await ask(raw, f"msg,a%2C%20%FC,{payload}") == f"msg,a%2C%20%FC,{payload}"
        await raw.peer.send("sub,ann")  # once more changes nothing
        await raw.peer.send("uns,ann")
        await raw.peer.send("msg,ann,too late")
        assert await ask(raw, "msg,a%2C%20%FC,1") == "msg,a%2C%20%FC,1"
        assert [*house.multiplex] == ["a, ü"]
    name, close = house.closes[0]
    assert (name, close.code) == ("ann", 1000)


async def test_an_unknown_topic_and_a_servers_close(opened: Open) -> None:
    house = topics()
    house.channel("ann")
    async with opened(house) as raw:
        assert await ask(raw, "sub,eve") == "uns,eve"
        await raw.peer.send("sub,ann")
        assert await ask(raw, "msg,ann,x") == "msg,ann,x"
        house.sparks[0].close_nowait(4000, "the wire has no words for it")
        assert await raw.peer.receive() == "uns,ann"


async def test_payloads_in_json_are_data_and_events(opened: Open) -> None:
    house = topics("json")
    house.channel("ann")
    house.events.on("add", channel="ann")(lambda spark, a, b: a + b)
    async with opened(house) as raw:
        await raw.peer.send("sub,ann")
        assert await ask(raw, 'msg,ann,{"a":[1,null]}') == 'msg,ann,{"a":[1,null]}'
        assert (
            await ask(raw, 'msg,ann,{"type":0,"id":3,"data":["add",1,2]}')
            == 'msg,ann,{"type":1,"id":3,"data":[3]}'
        )
        assert await ask(raw, "msg,ann,{{{") == "uns,ann"  # and the connection lives on
        assert await ask(raw, "sub,eve") == "uns,eve"
    assert len(house.errors) == 1


@pytest.mark.parametrize(
    "message", ["", "x", "sub", "sub,a,b", "uns", "msg,ann", "SUB,ann", "null", "[]", b"sub,ann"]
)
async def test_what_is_no_frame_closes_the_connection(opened: Open, message: Any) -> None:
    house = topics()
    house.channel("ann")
    async with opened(house) as raw:
        await raw.peer.send(message)
        close = await raw.peer.wait_closed()
    assert close.code == (1003 if isinstance(message, bytes) else 1002)


async def test_bytes_have_no_place_in_a_topic(opened: Open) -> None:
    house = topics("raw")
    failed: list[Exception] = []

    @house.multiplex.channel("ann").on_message
    async def answer(spark: Spark, payload: str) -> None:
        try:
            await spark.send(payload.encode())
        except EncodeError as error:
            failed.append(error)
        await spark.send("text")

    async with opened(house) as raw:
        await raw.peer.send("sub,ann")
        assert await ask(raw, "msg,ann,x") == "msg,ann,text"
    assert len(failed) == 1


async def test_without_the_plugin_nobody_is_let_in_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    adapter = MemoryAdapter()
    server = Server(adapter=adapter, folder=None, endpoints=[ENDPOINT])
    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        peer: MemoryPeer = await adapter.connect("/ws")
        await peer.send("sub,ann")
        assert await peer.receive() == "uns,ann"
        group.cancel_scope.cancel()
    assert "Server(plugins=[Multiplex()])" in caplog.text


async def test_our_client_joins_topics(opened: Open) -> None:
    house = topics("json")
    house.channel("ann, 漢")
    house.events.on("add")(lambda spark, a, b: a + b)
    multiplex, events = Multiplex(), Emitter()
    options = {"dialect": "websocket-multiplex", "codec": "json"}
    async with opened(house), house.client(multiplex, events, **options) as spark:
        with pytest.raises(EncodeError, match="speaks on channels only"):
            await spark.send("nowhere")
        with pytest.raises(EncodeError, match="no place for auth"):
            multiplex.join(spark, "ann, 漢", "please")
        ann = multiplex.join(spark, "ann, 漢")
        with pytest.raises(ValueError, match="joined already"):
            multiplex.join(spark, "ann, 漢")
        for payload in (None, 0, [], "x"):
            await ann.send(payload)
            assert await ann.receive() == payload
        assert await events.request(ann, "add", 1, 2) == 3
        await ann.close()
        again = multiplex.join(spark, "ann, 漢")
        await again.send(1)
        assert await again.receive() == 1


@given(st.text())
def test_escaping_is_undone(name: str) -> None:
    topic = escape(name)
    assert topic.isascii()
    assert "," not in topic
    assert unescape(topic) == name


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("plain-_.*+/@", "plain-_.*+/@"),
        ("a b,c%", "a%20b%2Cc%25"),
        ("ü", "%FC"),
        ("漢", "%u6F22"),
        ("😀", "%uD83D%uDE00"),
    ],
)
def test_escape_is_javascripts(name: str, topic: str) -> None:
    assert escape(name) == topic
    assert unescape(topic) == name


@pytest.mark.parametrize("topic", ["%", "%u12", "%zz", "%uD83D", "%uDE00x"])
def test_a_broken_escape_stays_as_it_came(topic: str) -> None:
    assert unescape(topic) == topic


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(max_size=20)
        | st.binary(max_size=5)
        | st.builds(
            "{},{},{}".format,
            st.sampled_from(["sub", "uns", "msg"]),
            st.sampled_from(["ann", "", "%u", "%uD800", "a%2Cb"]),
            st.sampled_from(["", "null", ",,"]),
        )
        | st.sampled_from(["sub,ann", "uns,ann", "sub,", "uns,", "sub,%uD800"]),
        max_size=10,
    )
)
def test_any_frames_harm_nobody(messages: list[Any]) -> None:
    async def attack() -> None:
        house = topics()
        house.channel("ann")
        async with anyio.create_task_group() as group:
            await group.start(house.server.serve)
            bystander = Raw(await house.adapter.connect("/ws"))
            await bystander.peer.send("sub,ann")
            peer: MemoryPeer = await house.adapter.connect("/ws")
            for message in messages:
                if peer.closed is None:
                    await peer.send(message)
            assert await ask(bystander, "msg,ann,x") == "msg,ann,x"
            peer.drop()
            await anyio.wait_all_tasks_blocked()
            assert len(house.multiplex["ann"]) == 1
            group.cancel_scope.cancel()
        assert not house.errors

    anyio.run(attack)
