"""The words about the session, the heartbeat, and how it ends."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest

from unisock import ConfigError, ConnectionClosed, DecodeError, EncodeError, HandshakeRejected
from unisock.codecs import MsgpackCodec, RawCodec, TextCodec
from unisock.memory import Refused

from .conftest import House, Open

pytestmark = pytest.mark.anyio

OFTEN = {"interval": 0.05, "timeout": 5}


async def test_the_server_pings_a_client_that_speaks_too(opened: Open) -> None:
    """A Primus client gives its server up if it is not pinged, whatever else comes."""
    house = House(heartbeat=OFTEN)
    async with opened(house) as raw:
        for _ in range(3):
            kind, _, told = (await raw.receive()).rpartition("::")
            assert kind == "primus::ping"
            assert abs(int(told) / 1000 - time.time()) < 60
            await raw.send(f"primus::pong::{told}")
    assert house.seen == []


async def test_who_answers_no_ping_and_says_nothing_else_is_given_up(opened: Open) -> None:
    house = House(heartbeat={"interval": 0.1, "timeout": 0.5})
    async with opened(house) as raw:
        for _ in range(8):  # any word is a sign of life
            while not (await raw.receive()).startswith("primus::ping::"):
                pass
            await raw.send("still here")
        # The memory's own heartbeat is answered; only Primus' is not.
        await raw.peer.wait_closed()
    (close,) = house.closes
    assert (close.code, close.reason) == (1006, "no answer to the heartbeat")
    assert close.come_back


async def test_a_client_that_is_held_back_is_not_given_up(opened: Open) -> None:
    """Its answers cannot be heard."""
    house = House(heartbeat={"interval": 0.1, "timeout": 0.2})
    async with opened(house) as raw:
        house.sparks[0].connection.hold()
        for _ in range(6):
            assert (await raw.receive()).startswith("primus::ping::")
        assert raw.peer.closed is None


async def test_a_heartbeat_can_be_switched_off(opened: Open) -> None:
    house = House(heartbeat={"interval": 0})
    async with opened(house) as raw:
        assert await raw.ask("only an echo") == "only an echo"
    assert b'"pingInterval":false' in (await spec(house, opened))


async def spec(house: House, opened: Open) -> bytes:
    async with opened(house):
        return (await house.adapter.request("/primus/spec")).body


async def test_a_client_learns_its_id(opened: Open) -> None:
    house = House()
    async with opened(house) as raw:
        word = await raw.ask("primus::id::")
        assert word == f"primus::id::{house.sparks[0].id}"
        assert len(house.sparks[0].id) >= 20


@pytest.mark.parametrize(
    "word",
    [
        "primus::",
        "primus::ping::1",
        "primus::server::close",
        "primus::what::ever",
        "primus::pong",
        "primus:: pong::1",
        "Primus::pong::1",
    ],
)
async def test_what_is_no_word_of_a_client_is_data(opened: Open, word: str) -> None:
    house = House(echoes=False)
    async with opened(house) as raw:
        await raw.send(word)
        await raw.peer.close()
    assert house.seen == [word]


async def test_a_close_for_good_is_said_before_it_happens(opened: Open) -> None:
    for close, words in [
        ({}, ["primus::server::close"]),
        ({"code": 4999}, ["primus::server::close"]),
        ({"reconnect": True}, []),
        ({"code": 4000}, []),
        ({"code": 4000, "reconnect": False}, ["primus::server::close"]),
    ]:
        house = House()
        async with opened(house) as raw:
            await raw.ask(1)
            await house.sparks[0].close(**close)
            heard: list[Any] = []
            await raw.peer.wait_closed()
            with suppress(ConnectionClosed):
                while True:
                    heard.append(await raw.receive())
            assert heard == words, close


async def test_a_restart_is_not_for_good(opened: Open) -> None:
    house = House()
    async with opened(house) as raw:
        await raw.ask(1)
        await house.server.drain(1)
        with pytest.raises(ConnectionClosed) as closed:
            await raw.receive()
        assert closed.value.code == 1012


async def test_a_message_that_is_none_ends_this_connection_for_good(opened: Open) -> None:
    house = House()
    async with opened(house) as raw:
        other = await house.adapter.connect("/primus")
        await raw.peer.send("{not json")
        assert await raw.receive() == "primus::server::close"
        assert (await raw.peer.wait_closed()).code == 1007
        await other.send("1")
        assert await other.receive() == "1"
    assert isinstance(house.errors[0], DecodeError)


async def test_nobody_can_have_a_word_sent_to_others(opened: Open) -> None:
    house = House()
    async with opened(house) as raw:
        await raw.send("primus::server::close")  # the echo would throw it back
        assert (await raw.peer.wait_closed()).code == 1011  # as the handler has failed
        with pytest.raises(ConnectionClosed):
            await raw.receive()
    assert isinstance(house.errors[0], EncodeError)


async def test_other_codecs(opened: Open) -> None:
    for codec, encode in [("msgpack", MsgpackCodec()), ("text", TextCodec()), ("raw", RawCodec())]:
        house = House(codec=codec, heartbeat=OFTEN)
        async with opened(house) as raw:
            assert str(encode.decode(await raw.peer.receive())).startswith("primus::ping::")
            await raw.peer.send(encode.encode("primus::id::"))
            told = encode.decode(await raw.peer.receive())
            assert told == f"primus::id::{house.sparks[0].id}"
            await raw.peer.send(encode.encode("hello"))
            while encode.decode(await raw.peer.receive()) != "hello":
                pass


# What the endpoint says outside of sessions.


async def test_the_spec(opened: Open) -> None:
    house = House(origins=["https://good.example"], heartbeat={"interval": 12.5})
    async with opened(house):
        request = house.adapter.request
        answer = await request("/primus/spec", headers=[("Origin", "https://good.example")])
        assert json.loads(answer.body) == {
            "pingInterval": 12500,
            "pathname": "/primus",
            "version": "8.0.9",
            "parser": "json",
            "transformer": "websockets",
        }
        assert ("Access-Control-Allow-Origin", "https://good.example") in answer.headers
        answer = await request("/primus/spec", headers=[("Origin", "https://evil.example")])
        assert "Access-Control-Allow-Origin" not in dict(answer.headers)
        assert (await request("/primus/spec", method="POST")).status == 405
        assert (await request("/primus/primus.js")).status == 404
        assert (await request("/primus")).status == 426


def test_a_refusal_by_close_code_is_refused() -> None:
    """Primus clients would come back for ever."""
    house = House(endpoints=[{"path": "/primus", "refusal": "close"}])
    with pytest.raises(ConfigError, match=r'/primus: refusal = "close"'):
        house.server.check()


async def test_a_refusal_has_the_status_that_primus_has(refusing: House, opened: Open) -> None:
    with pytest.raises(Refused) as refused:
        async with opened(refusing):
            pass
    assert refused.value.response.status == 401
    assert json.loads(refused.value.response.body)["error"] == "Forbidden"


async def test_a_status_that_the_application_names_is_kept(opened: Open) -> None:
    house = House()

    @house.endpoint.authorize
    def refuse(handshake: object) -> None:
        raise HandshakeRejected("pay first", status=402)

    with pytest.raises(Refused) as refused:
        async with opened(house):
            pass
    assert refused.value.response.status == 402
