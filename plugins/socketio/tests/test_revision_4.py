"""Clients before Socket.IO 3, who come by revision 3 of Engine.IO."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import Channel, Handshake, HandshakeRejected

from .conftest import House, Run

pytestmark = pytest.mark.anyio

OLD = "/ws?EIO=3&transport=websocket"


async def test_they_are_in_the_first_namespace_at_once(run: Run) -> None:
    async with run() as house:
        raw = await house.peer(OLD)
        assert await raw.receive() == "0"
        await house.until(lambda: house.sparks)
        await raw.send('2["message","hello"]')
        await house.until(lambda: house.seen)
        assert await raw.ask('21["x"]') == (
            '31[{"error":{"code":"unknown-event","message":"nobody listens to that"}}]'
        )
        await raw.send("0")
        assert (await raw.peer.wait_closed()).code == 1002


async def test_a_namespace_has_a_query(run: Run) -> None:
    house = House()

    @house.chat.authorize
    def may(channel: Channel) -> str:
        auth: Any = channel.auth
        return str(auth["name"])

    async with run(house):
        raw = await house.peer(OLD)
        await raw.receive()
        assert await raw.ask("0/chat?name=Ada&x=%2C,") == "0/chat,"
        await house.until(lambda: len(house.sparks) == 2)
        assert house.sparks[1].user == "Ada"
        await house.sparks[1].send(1)
        assert await raw.receive() == '2/chat,["message",1]'
        # The id is what such a client makes up: the session's, and the namespace before it.
        assert house.sparks[1].id.startswith("/chat#")


async def test_errors_are_texts_or_data(run: Run) -> None:
    house = House()

    @house.chat.authorize
    def may(channel: Channel) -> None:
        raise HandshakeRejected("no", data=channel.auth)

    async with run(house):
        raw = await house.peer(OLD)
        await raw.receive()
        assert await raw.ask("0/nowhere,") == '4/nowhere,"Invalid namespace"'
        assert await raw.ask("0/chat,") == '4/chat,"no"'
        assert await raw.ask("0/chat?a=1,") == '4/chat,{"a":"1"}'


async def test_who_is_refused_at_once(run: Run) -> None:
    house = House()

    @house.server.authorize
    async def never(handshake: Handshake) -> bool:
        return False

    async with run(house):
        raw = await house.peer(OLD)
        assert await raw.receive() == '4"Forbidden"'
        assert not house.sparks
