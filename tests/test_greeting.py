"""A dialect's handshake on each connection of a client, before the application may use it."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from unisock import (
    Close,
    ConfigError,
    ConnectionRejected,
    HandshakeRejected,
    ProtocolError,
    Unreachable,
    connect,
)
from unisock.abc import Connection, Greeting
from unisock.messages import Message
from unisock.pipeline import awaited
from unisock.plain import PlainDialect
from unisock.redial import Backoff, State
from unisock.registry import offer

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0, stable=0)


class _Hello(Greeting):
    def __init__(self, connection: Connection, name: Any) -> None:
        super().__init__(connection)
        self._name = name

    async def begin(self) -> None:
        name = self._name
        self.connection.write(f"I am {await awaited(name() if callable(name) else name)}")

    def on_message(self, message: Message) -> None:
        if message == "welcome":
            self.settled()
        elif message == "no":
            self.refused(HandshakeRejected("not you", code=4567))
        else:
            self.refused(ProtocolError(f"{message!r} is no greeting"))


class Polite(PlainDialect):
    """A dialect that greets."""

    name = "polite"
    carrier = "script"
    path = "/here"

    class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
        whom: Any = "nobody"

    def greet(self, connection: Connection) -> Greeting:
        options: Any = self.options
        return _Hello(connection, options.whom)


offer("dialect", Polite.name, Polite)


def polite(script: Any, url: Any = "polite+http://h", **options: Any) -> Any:
    return connect(url, connector=script, **{"reconnect": AT_ONCE, **options})


async def said(script: Any, connections: int) -> Any:
    """The driver of this connection, when its client has spoken."""
    while len(script.drivers) < connections or not script.driver.wire:
        await anyio.lowlevel.checkpoint()
    return script.driver


async def test_a_connection_counts_as_made_when_the_greeting_is_over(
    script: Any, watch: Any
) -> None:
    client = polite(script, whom="Ada")
    seen = watch(client)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                driver = await said(script, 1)
                assert driver.wire == ["I am Ada"]
                assert seen.states == ["connecting"]
                driver.receiver.on_message("welcome")
                driver.receiver.on_message('"news"')  # right behind it

            group.start_soon(serve)
            async with client as spark:
                assert client.state is State.OPEN
                assert await spark.receive() == "news"
                await spark.send("thanks")
    assert script.driver.wire == ["I am Ada", '"thanks"']


async def test_each_connection_is_greeted_and_what_is_sent_meanwhile_waits(
    script: Any, watch: Any
) -> None:
    times = 0

    async def whom() -> int:
        nonlocal times
        times += 1
        return times

    client = polite(script, whom=whom)
    seen = watch(client)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                for number in (1, 2):
                    driver = await said(script, number)
                    assert driver.wire == [f"I am {number}"]
                    driver.receiver.on_message("welcome")

            group.start_soon(serve)
            async with client as spark:
                script.driver.ended(Close(1006))
                await seen.until("open", "waiting", "connecting")
                await spark.send("later")
                await seen.until("connecting", "open")
                assert script.driver.wire == ["I am 2", '"later"']


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ("no", ConnectionRejected, "not you"),
        ("what?", ProtocolError, "no greeting"),
        (Close(4999, "go away"), ConnectionRejected, "go away"),
        (Close(1011, "a moment"), Unreachable, "hung up: a moment"),
    ],
)
async def test_a_refusal_is_a_typed_error(
    script: Any, answer: str | Close, error: type[Exception], says: str
) -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                driver = await said(script, 1)
                if isinstance(answer, Close):
                    driver.ended(answer)
                else:
                    driver.receiver.on_message(answer)

            group.start_soon(serve)
            with pytest.raises(error, match=says):
                async with polite(script, reconnect=Backoff(attempts=1)):
                    pass
    if isinstance(answer, str):
        assert script.driver.aborts == 1


async def test_nobody_waits_for_ever(script: Any) -> None:
    with anyio.fail_after(30), pytest.raises(Unreachable, match=r"timeout = 0\.05 s"):
        async with polite(script, reconnect=Backoff(attempts=1), timeout=0.05):
            pass
    assert script.driver.aborts == 1


async def test_the_url_says_dialect_and_carrier(script: Any, monkeypatch: Any) -> None:
    class Carrier:
        def __new__(cls, options: Any) -> Any:
            assert options == {"size": 1}  # what the dialect does not know
            return script

    offer("connector", "script", Carrier)
    script.steps = [ValueError("enough")]
    for url, there in [
        ("polite+http://h", "polite+http://h/here"),
        ("polite+https://h/?a=1", "polite+https://h/here?a=1"),
        ("polite+http://h/there", "polite+http://h/there"),
    ]:
        script.steps = [ValueError("enough")]
        with pytest.raises(ValueError, match="enough"):
            async with connect(url, whom="Ada", size=1):
                pass
        assert str(script.calls[-1].url) == there


def test_a_wrong_option_of_the_dialect_is_told() -> None:
    class Strict(PlainDialect):
        name = "strict"

        class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
            count: int = 1

    offer("dialect", "strict", Strict)
    with pytest.raises(ConfigError, match=r"connect\.count: Expected `int`, got `array`"):
        connect("ws://h", dialect="strict", count=[])
