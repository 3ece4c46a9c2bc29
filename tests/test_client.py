"""`connect` as an application sees it: the spark, the steps, the end."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from unisock import (
    Close,
    ClosedByPeer,
    ClosedLocally,
    ConfigError,
    NotInstalled,
    Server,
    Spark,
    connect,
    hookimpl,
)
from unisock.errors import ConnectionLost
from unisock.memory_client import MemoryConnector
from unisock.messages import Origin, Sent
from unisock.redial import Backoff, State

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)
NEVER = Backoff(first=1e9, most=1e9)
CUT = Close(1006, "cable", origin=Origin.LOST)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "example.com"}, "ws://127.0.0.1:8000/ws"),
        ({"codec": "jason"}, "jason"),
        ({"dialect": "swabian"}, "swabian"),
        ({"overflow": "wait"}, "drop-newest or drop-oldest"),
        ({"overflow": "never"}, "overflow: 'never'"),
        ({"timeout": 0}, "timeout: must be more than 0"),
        ({"timeout": float("nan")}, "timeout: must be more than 0"),
        ({"redirects": -1}, "redirects: must be 0 or more"),
        ({"reconnect": 5}, "reconnect: write True, False or Backoff"),
        ({"limits": {"outbox": 5}}, "limits: .*outbox"),
        ({"limits": {"outbox_bytes": 0}}, "outbox_bytes"),
        ({"heartbeat": {"interval": "often"}}, "heartbeat: "),
        ({"plugins": [object]}, "pass object\\(\\), not the class"),
    ],
)
def test_wrong_options_are_told_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        connect(options.pop("url", "ws://h/"), **options)


def test_options_for_a_connector_that_is_made_already_are_told(script: Any) -> None:
    with pytest.raises(ConfigError, match="compression: tell the connector itself"):
        connect("ws://h/", connector=script, compression=True)


async def test_options_that_the_connector_does_not_know_are_told() -> None:
    with pytest.raises(ConfigError, match="compression"):
        async with connect("ws://h/", compresion=True):
            pass


def test_a_missing_plugin_is_told() -> None:
    with pytest.raises(ConfigError, match=r"this client has no Spark plugin: .*connect\(plugins"):
        connect("ws://h/").plugin(Spark)


async def test_a_client_runs_once_at_a_time_and_again_later(script: Any) -> None:
    client = connect("ws://h/", connector=script)
    async with client:
        with pytest.raises(ConfigError, match="runs already"):
            await client.__aenter__()
        assert client.state is State.OPEN
    assert client.state is State.CLOSED
    script.steps = [ValueError("no")]
    with pytest.raises(ValueError, match="no"):
        await client.__aenter__()
    async with client as spark:
        await spark.send("again")
    assert script.driver.wire == ['"again"']


async def test_leaving_closes_in_good_order(script: Any) -> None:
    async with connect("ws://h/", connector=script) as spark:
        await spark.send(1)
        spark.send_nowait(2)
    assert script.driver.wire == ["1", "2"]
    assert script.driver.shuts == [Close()]
    assert spark.closed == Close()
    with pytest.raises(ClosedLocally):
        await spark.send(3)
    assert spark.send_nowait(3) is Sent.DROPPED


async def test_leaving_while_it_waits_is_quick_and_counts_what_is_lost(
    script: Any, watch: Any
) -> None:
    client = connect("ws://h/", connector=script, reconnect=NEVER)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            await spark.send("sent")
            script.driver.ended(CUT)
            await seen.until("open", "waiting")
            await spark.send("queued")
            await spark.send("queued too")
    waiting, closed = seen.steps[-2:]
    assert (waiting.unconfirmed, waiting.queued, waiting.dropped) == (1, 0, 0)
    assert (closed.unconfirmed, closed.queued, closed.dropped) == (0, 0, 2)


async def test_leaving_does_not_wait_for_an_attempt_to_connect(script: Any, watch: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client:
            script.steps = [None]
            script.driver.ended(CUT)
            await seen.until("waiting", "connecting")
    assert seen.states[-1] == "closed"


async def test_cancelling_the_first_attempt_ends_it_at_once(script: Any, watch: Any) -> None:
    script.steps = [None]
    client = connect("ws://h/", connector=script)
    seen = watch(client)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def run() -> None:
                async with client:
                    raise AssertionError("it never connected")

            group.start_soon(run)
            await seen.until("connecting")
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert seen.states == ["connecting", "closed"]


async def test_cancelling_the_body_still_says_goodbye(script: Any, watch: Any) -> None:
    client = connect("ws://h/", connector=script)
    with anyio.CancelScope() as scope:
        async with client:
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert script.driver.shuts == [Close()]


async def test_but_does_not_wait_long_for_the_servers_answer(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unisock.client.IN_A_HURRY", 0.01)
    client = connect("ws://h/", connector=script, limits={"close_seconds": 1000})
    with anyio.fail_after(30), anyio.CancelScope() as scope:
        async with client:
            script.driver.shut = lambda close: None  # a server that never answers
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert client.state is State.CLOSED


async def test_an_exception_in_the_body_comes_out_as_itself(script: Any) -> None:
    class Mine(Exception):
        pass

    with pytest.raises(Mine) as error:
        async with connect("ws://h/", connector=script):
            raise Mine
    assert error.value.__cause__ is None
    assert script.driver.shuts == [Close()]
    with pytest.raises(ExceptionGroup):
        async with connect("ws://h/", connector=script):
            raise ExceptionGroup("mine", [Mine(), Mine()])


# Steps.


async def test_async_on_state_runs_in_order_and_to_its_end(script: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    heard: list[str] = []

    @client.on_state
    async def slowly(change: Any) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        heard.append(change.state)

    async with client:
        pass
    assert heard == ["connecting", "open", "closed"]


async def test_on_state_that_raises_goes_to_the_log(
    script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect("ws://h/", connector=script)

    @client.on_state
    def now(change: Any) -> None:
        raise ValueError("now")

    @client.on_state
    async def later(change: Any) -> None:
        raise ValueError("later")

    async with client as spark:
        await spark.send("fine")
    told = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert sorted(told) == ["later"] * 3 + ["now"] * 3


async def test_wait_for_a_state(script: Any, watch: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=NEVER)
    with anyio.fail_after(30):
        async with client as spark:
            await client.wait_for(State.OPEN)
            script.driver.ended(CUT)
            await client.wait_for(State.WAITING)
            client.reconnect_now()
            await client.wait_for(State.OPEN)
            spark.close_nowait()
            await client.wait_for(State.CLOSED)
            with pytest.raises(ClosedLocally):
                await client.wait_for(State.OPEN)


async def test_a_lost_connection_is_logged(script: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    async with client:
        script.driver.ended(CUT)
        await client.wait_for(State.WAITING)
    assert "1006 cable; trying again in 0.0 s" in caplog.text


# Receiving.


async def test_receive_goes_on_over_a_reconnect(script: Any, watch: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    async with client as spark:
        script.driver.receiver.on_message("1")
        script.driver.ended(CUT)
        await seen.until("open", "waiting", "connecting", "open")
        script.driver.receiver.on_message("2")
        script.driver.ended(Close(1000, origin=Origin.PEER))
        assert [number async for number in spark] == [1, 2]
        with pytest.raises(ClosedByPeer):
            await spark.receive()


async def test_messages_may_go_to_a_handler(script: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    heard: list[Any] = []
    client.on_open(lambda spark: heard.append("open"))
    client.on_close(lambda spark, close: heard.append(close.code))

    @client.on_message
    async def take(spark: Spark, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(message)

    async with client as spark:
        for text in ("1", "2", "3"):
            script.driver.receiver.on_message(text)
        spark.close_nowait(4000)
    assert heard == ["open", 1, 2, 3, 4000]


async def test_a_session_reads_by_itself(script: Any) -> None:
    client = connect("ws://h/", connector=script)
    heard: list[Any] = []

    @client.session
    async def session(spark: Spark) -> None:
        async for message in spark:
            heard.append(message)
            if message == "enough":
                return

    async with client as spark:
        for text in ('"a"', '"enough"'):
            script.driver.receiver.on_message(text)
        await spark.connection.wait_closed()
    assert heard == ["a", "enough"]
    assert script.driver.shuts == [Close()]


async def test_a_handler_that_raises_closes(script: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    client.on_message(lambda spark, message: 1 / 0)
    async with client as spark:
        script.driver.receiver.on_message("1")
        await spark.connection.wait_closed()
        assert spark.closed == Close(1011, "internal error")
    assert "ZeroDivisionError" in caplog.text


async def test_what_does_not_decode_is_told_and_closes(script: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE)
    errors: list[Exception] = []
    client.on_error(lambda spark, error: errors.append(error))
    async with client as spark:
        script.driver.receiver.on_message("{")
        with pytest.raises(ClosedLocally, match="1007"):
            await spark.receive()
    assert len(errors) == 1


async def test_a_slow_application_stops_reading_also_after_a_reconnect(
    script: Any, watch: Any
) -> None:
    client = connect("ws://h/", connector=script, reconnect=AT_ONCE, limits={"inbox_messages": 2})
    seen = watch(client)
    async with client as spark:
        script.driver.receiver.on_message("1")
        assert not script.driver._holds
        script.driver.receiver.on_message("2")
        assert script.driver._holds == 1
        script.driver.ended(CUT)
        await seen.until("open", "waiting", "connecting", "open")
        assert script.driver._holds == 1
        assert await spark.receive() == 1
        assert script.driver._holds == 0
        script.driver.receiver.on_message("3")
        assert script.driver._holds == 1
        assert [await spark.receive(), await spark.receive()] == [2, 3]
        assert script.driver._holds == 0


async def test_it_is_a_byte_stream_with_the_raw_codec(script: Any) -> None:
    async with connect("ws://h/", connector=script, codec="raw") as spark:
        stream = spark.as_byte_stream()
        script.driver.receiver.on_message(b"abcdef")
        assert [await stream.receive(4), await stream.receive(4)] == [b"abcd", b"ef"]
        await stream.send(b"xyz")
        await stream.aclose()
    assert script.driver.wire == [b"xyz"]


# Sending.


async def test_send_waits_for_room(script: Any, watch: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=NEVER, limits={"outbox_messages": 3})
    async with client as spark, anyio.create_task_group() as group:
        script.driver.ended(CUT)
        await client.wait_for(State.WAITING)

        async def say() -> None:
            for number in range(10):
                await spark.send(number)

        group.start_soon(say)
        await anyio.wait_all_tasks_blocked()
        assert spark.send_nowait("no room") is Sent.DROPPED
        client.reconnect_now()
        await client.wait_for(State.OPEN)
        await anyio.wait_all_tasks_blocked()
        assert script.driver.wire == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    ("overflow", "arrives"), [("drop-newest", ["0", "1"]), ("drop-oldest", ["3", "4"])]
)
async def test_send_nowait_drops_and_counts(
    script: Any, watch: Any, overflow: str, arrives: list[str]
) -> None:
    client = connect(
        "ws://h/",
        connector=script,
        reconnect=NEVER,
        overflow=overflow,
        limits={"outbox_messages": 2},
    )
    seen = watch(client)
    async with client as spark:
        script.driver.ended(CUT)
        await client.wait_for(State.WAITING)
        for number in range(5):
            spark.send_nowait(number)
        client.reconnect_now()
        await seen.until("connecting", "open")
        assert script.driver.wire == arrives
    assert seen.steps[-1].dropped == 3


async def test_a_silent_server_is_found_by_the_heartbeat(script: Any, watch: Any) -> None:
    client = connect(
        "ws://h/",
        connector=script,
        reconnect=AT_ONCE,
        heartbeat={"interval": 0.01, "timeout": 0.01},
    )
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            await spark.send("are you there?")
            step = await seen.until("open", "waiting")
    assert step.close.reason == "no answer to the heartbeat"
    assert step.unconfirmed == 1
    assert script.drivers[0].pinged


# Plugins.


class Diary:
    """A plugin that takes down its hooks."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    @hookimpl
    def unisock_start(self) -> None:
        self.pages.append("start")

    @hookimpl
    def unisock_open(self, spark: Spark) -> None:
        self.pages.append("open")

    @hookimpl
    def unisock_interrupt(self, spark: Spark, close: Close) -> None:
        self.pages.append(f"interrupt {close.code}")

    @hookimpl
    def unisock_resume(self, spark: Spark) -> None:
        self.pages.append("resume")
        spark.send_nowait("who I am")

    @hookimpl
    def unisock_close(self, spark: Spark, close: Close) -> None:
        self.pages.append(f"close {close.code}")

    @hookimpl
    def unisock_forget(self, spark: Spark) -> None:
        self.pages.append("forget")

    @hookimpl
    def unisock_stop(self) -> None:
        self.pages.append("stop")


async def test_plugins_live_through_a_reconnect(script: Any, watch: Any) -> None:
    diary = Diary()
    client = connect("ws://h/", connector=script, reconnect=NEVER, plugins=[diary])
    assert client.plugin(Diary) is diary
    async with client as spark:
        assert [*client.hub] == [spark]
        script.driver.ended(CUT)
        await client.wait_for(State.WAITING)
        await spark.send("what waited")
        client.reconnect_now()
        await client.wait_for(State.OPEN)
        assert script.driver.wire == ['"who I am"', '"what waited"']
    assert diary.pages == [
        "start",
        "open",
        "interrupt 1006",
        "resume",
        "close 1000",
        "forget",
        "stop",
    ]
    assert [*client.hub] == []


async def test_two_clients_of_one_server(serving: Any) -> None:
    server = Server(adapter="memory", folder=None)
    server.on_message(lambda spark, message: server.everyone.send_nowait(message))
    async with serving(server) as memory:
        connector = MemoryConnector(memory)
        async with (
            connect("ws://memory/ws", connector=connector) as ada,
            connect("ws://memory/ws", connector=connector) as bob,
        ):
            await ada.send("hello")
            assert [await ada.receive(), await bob.receive()] == ["hello", "hello"]


async def test_a_connection_that_is_gone_before_anybody_looks_is_told(script: Any) -> None:
    client = connect("ws://h/", connector=script, reconnect=False)
    client.on_open(lambda spark: script_end(spark))

    def script_end(spark: Spark) -> None:
        spark.connection.lower.ended(CUT)  # type: ignore[attr-defined]

    with anyio.fail_after(30):
        async with client as spark:
            with pytest.raises(ConnectionLost, match="cable"):
                await spark.receive()


def test_an_unknown_codec_names_those_that_there_are() -> None:
    with pytest.raises(NotInstalled) as error:
        connect("ws://h/", codec="jason")
    assert "json" in error.value.installed
