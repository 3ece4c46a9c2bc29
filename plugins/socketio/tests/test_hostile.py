"""What crashed others, or could: an error on that connection, and nobody else's trouble."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import UnisockError

from .conftest import House, Run
from .test_packets import NOT_TEXT

pytestmark = pytest.mark.anyio

ATTACKS: list[list[Any]] = [
    *[[message] for message in NOT_TEXT],
    [b"\0"],  # an attachment of nothing
    ['51-["x",{"_placeholder":true,"num":1}]', b"\0"],  # CVE-2022-2421
    ['51-["x",{"_placeholder":true,"num":"splice"}]', b"\0"],
    ['51-["x"]', '2["y"]'],
    ['51-["x"]', b"\0", b"\0"],
    ['2[{"toString":"x"}]'],  # CVE-2023-32695
    ['2/chat,["x"]'],  # where the client is not
    ["3/chat,1[]"],
    ["1/chat,"],
    ["0"],  # where it is already
    ["4{}"],  # what only servers say
    ['4"x"'],
    ["0/__proto__"],
    ["1", '2["x"]'],
]
HARMLESS: list[list[Any]] = [
    ['2["error"]'],  # CVE-2024-38355
    ['2["__proto__",{"__proto__":{"x":1}}]', '2["constructor"]', '2["toString"]'],
    ['2["x",{"__proto__":null,"constructor":{"prototype":1}}]', '2["",1]', '2["\\u0000"]'],
    ["30[]", "3999999999999999[1]"],
    ['2["close"]', '2["end"]', '2["open"]', '2["data"]', '2["reconnect"]'],
    ['51-["x"]', b""],
    ["2[0]", "2[-1]", "2[1.5]", "2[1e300]"],
    ["0/__proto__", "0/constructor,", "0/toString,{}"],
    ['2["' + "x" * 100_000 + '"]'],
]


@pytest.mark.parametrize("number", range(len(ATTACKS)))
async def test_an_attack_costs_the_attacker_its_connection(run: Run, number: int) -> None:
    async with run() as house:
        bystander, attacker = await house.inside(), await house.inside()
        await house.until(lambda: len(house.sparks) == 2)
        refused = ATTACKS[number] == ["0/__proto__"]
        for message in ATTACKS[number]:
            if attacker.peer.closed is None:
                await attacker.send(message)
        if refused:
            assert await attacker.receive() == '4/__proto__,{"message":"Invalid namespace"}'
            return
        close = await attacker.peer.wait_closed()
        assert close.code in (1002, 1003, 1007, 1008)
        await house.until(lambda: house.closes)
        assert all(isinstance(error, UnisockError) for error in house.errors)
        assert await bystander.ask('21["nobody"]')


@pytest.mark.parametrize("number", range(len(HARMLESS)))
async def test_what_is_odd_and_harmless_is_taken(run: Run, number: int) -> None:
    house = House()
    house.events.on("still there?")(lambda spark: True)
    async with run(house):
        raw = await house.inside()
        await raw.send(*HARMLESS[number])
        await raw.send('277["still there?"]')
        while not (answer := await raw.receive()).startswith("3"):
            assert "Invalid namespace" in answer
        assert answer == "377[true]"
        assert not house.errors


async def test_before_it_is_anywhere_a_bad_packet_closes_too(run: Run) -> None:
    async with run() as house:
        for message in ('2["x"]', "4abc", "1", b"\0", "3[]", "x"):
            raw = await house.peer()
            await raw.send(message)
            assert (await raw.peer.wait_closed()).code in (1002, 1007)
        assert not house.sparks


async def test_who_talks_before_it_is_let_in_waits(run: Run) -> None:
    house = House()

    @house.chat.authorize
    async def may(channel: Any) -> None: ...

    async with run(house):
        raw = await house.inside()
        await raw.send("0/chat,", *['2/chat,["message",1]'] * 200)
        await house.until(lambda: len(house.seen) == 200)


async def test_a_packet_that_is_never_completed_costs_little(run: Run) -> None:
    async with run(options={"max_attachments": 2}) as house:
        raw = await house.inside()
        await raw.send('53-["x"]')
        close = await raw.peer.wait_closed()
        assert (close.code, close.reason) == (1008, "over the limit max_attachments = 2")
