"""What crashed the original, and whatever else comes."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unisock.codecs import JsonCodec, MsgpackCodec
from unisock.messages import Message
from unisock_primus import words

from .conftest import House, Open

pytestmark = pytest.mark.anyio

WAYS: list[dict[str, Any]] = [
    {"responder": True},
    {"events": "emit", "channels": "substream", "responder": True},
]
CRASHING: list[Any] = [
    None,  # emitter, emit, responder, substream: "Cannot read properties of null"
    [],
    [1, "a", "__proto__"],  # multiplex: a channel of that name
    [0, "a", "nobody's", 1],
    [2, "not mine", "news"],
    [1, None, "news"],
    [1, {}, []],
    {"type": 0, "data": ["nobody listens"], "id": 9},
    {"type": 1, "data": [], "id": 999},
    {"__proto__": {"type": 0}},
    {"substream": "__proto__", "args": 1},
    {"substream": None},
    {"plugin": "primus-responder", "responseId": "999"},
    {"emit": None},
    "primus::",
    "primus::id",
    "primus::pong::not a number",
    0,
    False,
    "",
]


@pytest.mark.parametrize("options", WAYS, ids=["emitter", "emit"])
async def test_what_crashed_the_original_is_nothing_here(
    opened: Open, options: dict[str, Any]
) -> None:
    house = House(echoes=False, options=options)
    house.channel("news")
    async with opened(house) as raw:
        other = await house.adapter.connect("/primus")
        for payload in CRASHING:
            await raw.send(payload)
        await other.send('"primus::id::"')
        assert await other.receive() == f'"primus::id::{house.sparks[1].id}"'
        assert raw.peer.closed is None
        assert house.errors == []
        deep = '{"emit":[' * 100_000
        await raw.peer.send(deep)
        assert (await raw.peer.wait_closed()).code == 1007
        assert other.closed is None


NAMES = (
    *("type", "data", "id", "error", "code", "emit", "substream", "args"),
    *("plugin", "requestId", "responseId", "__proto__"),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "news", "a", "substream::end", "primus-responder", "__proto__", "1"])
    | st.sampled_from([words.word(kind, "x") for kind in ("ping", "pong", "id", "server")])
    | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), children, max_size=4)
    ),
    max_leaves=12,
)
messages = st.one_of(values, values, st.text(max_size=8).map(lambda text: text.encode()))


@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec()], ids=["json", "msgpack"])
@pytest.mark.parametrize("options", WAYS, ids=["emitter", "emit"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=st.lists(messages, max_size=8), client=st.booleans())
def test_nothing_that_is_said_gets_out_of_hand(
    codec: Any, options: dict[str, Any], said: list[Any], client: bool
) -> None:
    """On either side; an exception would come out of the driver that delivers the message."""
    house = House(echoes=False, codec=codec.name, options=options)
    house.channel("news")

    def encoded(value: Any) -> Message:
        if isinstance(value, bytes):
            return value.decode() if codec.name == "json" else value
        message: Message = codec.encode(value)
        return message

    async def talk() -> None:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                await group.start(house.server.serve)
                if client:
                    async with house.client(reconnect=False, **options):
                        there = house.sparks[0].connection
                        for value in said:
                            there.write(encoded(value))
                        await anyio.lowlevel.checkpoint()
                else:
                    peer = await house.adapter.connect("/primus")
                    for value in said:
                        if peer.closed is None:
                            await peer.send(encoded(value))
                    other = await house.adapter.connect("/primus")
                    assert other.closed is None
                group.cancel_scope.cancel()

    anyio.run(talk)
    assert all(type(error).__name__ in ("DecodeError", "ProtocolError") for error in house.errors)
