"""When a client tries again, how long it waits, and what ends it."""

from __future__ import annotations

import random
import ssl
from typing import Any

import anyio
import pytest

from unisock import Close, ConfigError, ConnectionLost, ConnectionRejected, connect
from unisock.errors import HandshakeRejected, ProtocolError, Redirected, Unreachable
from unisock.messages import Origin
from unisock.redial import LONGEST_WISH, Backoff, State

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)
PATIENT = Backoff(first=1000, most=1000)


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delay is its bound."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


def refusal(status: int, retry_after: str = "", **facts: Any) -> HandshakeRejected:
    headers = (("retry-AFTER", retry_after),) if retry_after else ()
    return HandshakeRejected("no", status=status, headers=headers, **facts)


def test_the_delay_is_anything_below_a_bound_that_doubles() -> None:
    backoff = Backoff(first=0.5, most=30)
    for failures, bound in enumerate([0.5, 1, 2, 4, 8, 16, 30, 30, 30]):
        delays = [backoff.delay(failures) for _ in range(400)]
        assert 0 <= min(delays) < bound * 0.1
        assert bound * 0.9 < max(delays) <= bound
    assert backoff.delay(10_000) <= 30


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"first": -1}, "backoff.first"),
        ({"most": float("nan")}, "backoff.most"),
        ({"stable": float("inf")}, "backoff.stable"),
        ({"attempts": 0}, "backoff.attempts"),
    ],
)
def test_a_backoff_is_checked(fields: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Backoff(**fields)


async def test_every_step_has_an_event(script: Any, watch: Any, longest: None) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=Backoff(first=0, stable=1e6))
    seen = watch(client)
    assert client.state is State.CLOSED
    with anyio.fail_after(30):
        async with client:
            assert client.state is State.OPEN
            script.steps = [ConnectionError("down"), 1_000_000]
            script.driver.ended(Close(1006, "cable", origin=Origin.LOST))
            await seen.until("waiting", "connecting", "waiting", "connecting", "open")
    assert seen.states == [
        "connecting",
        "open",
        "waiting",
        "connecting",
        "waiting",
        "connecting",
        "open",
        "closed",
    ]
    assert [change.attempt for change in seen.steps] == [1, 1, 1, 2, 2, 3, 3, 3]
    lost, down, closed = seen.steps[2], seen.steps[4], seen.steps[7]
    assert (lost.close.reason, lost.error) == ("cable", None)
    assert (down.close, str(down.error)) == (None, "down")
    assert (closed.close.origin, closed.error, client.error) == (Origin.LOCAL, None, None)


async def test_the_delay_grows_until_a_connection_is_stable(
    script: Any, watch: Any, longest: None
) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=Backoff(first=100, stable=0))
    seen = watch(client)
    script.steps = [OSError("1"), OSError("2"), OSError("3"), 9, OSError("4")]
    delays: list[float] = []

    @client.on_state
    def go_on(change: Any) -> None:
        if change.state is State.WAITING:
            delays.append(change.delay)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def run() -> None:
                async with client as spark:
                    script.driver.ended(Close(1006, origin=Origin.LOST))
                    await seen.until("open", "waiting")
                    assert seen.steps[-1].attempt == 0
                    await spark.close()

            group.start_soon(run)
            for _ in range(3):
                await seen.until("connecting", "waiting")
                client.reconnect_now()
                await seen.until("connecting")
    # Whoever says that the network is back begins a new row.
    assert delays == [30, 30, 30, 30]


async def test_the_bound_doubles_from_failure_to_failure(
    script: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: bounds.append(high) or 0.0)
    client = connect("ws://h/ws", connector=script, reconnect=Backoff(first=1, most=5, attempts=6))
    script.steps = [OSError()] * 6
    with anyio.fail_after(30), pytest.raises(Unreachable):
        async with client:
            pass
    assert bounds == [1, 2, 4, 5, 5]


async def test_a_connection_that_does_not_last_is_a_failure_too(
    script: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(
        "ws://h/ws", connector=script, reconnect=Backoff(first=0, attempts=3, stable=1e6)
    )
    client.on_open(lambda spark: None)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            for _ in range(3):
                await seen.until("connecting", "open")
                script.driver.ended(Close(1011, "crashed", origin=Origin.PEER))
                await seen.until("open", "closed" if len(script.drivers) == 3 else "waiting")
                if len(script.drivers) < 3:
                    await seen.until("connecting", "open")
            with pytest.raises(ConnectionLost, match=r"tried 3 times: .*1011 crashed"):
                await spark.receive()
    assert isinstance(client.error, Unreachable)
    assert client.error.attempts == 3


async def test_reconnect_now_does_not_wait(script: Any, watch: Any, longest: None) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=PATIENT)
    seen = watch(client)
    client.reconnect_now()  # it does not even run
    with anyio.fail_after(30):
        async with client:
            client.reconnect_now()  # it is open
            script.driver.ended(Close(1001, origin=Origin.PEER))
            assert (await seen.until("open", "waiting")).delay == 1000
            client.reconnect_now()
            await seen.until("waiting", "connecting", "open")


async def test_on_state_may_call_reconnect_now(script: Any, watch: Any, longest: None) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=PATIENT)
    script.steps = [OSError("down"), OSError("down")]

    @client.on_state
    def hurry(change: Any) -> None:
        if change.state is State.WAITING:
            client.reconnect_now()

    with anyio.fail_after(30):
        async with client:
            assert len(script.calls) == 3


@pytest.mark.parametrize("reconnect", [False, Backoff(first=0, attempts=1)])
async def test_who_shall_not_reconnect_tries_once(script: Any, reconnect: Any) -> None:
    script.steps = [ConnectionRefusedError("nobody there")]
    client = connect("ws://h/ws", connector=script, reconnect=reconnect)
    with pytest.raises(Unreachable, match=r"tried once: .*nobody there") as error:
        async with client:
            pass
    assert error.value.attempts == 1
    assert isinstance(error.value.__cause__, ConnectionRefusedError)
    assert client.error is error.value
    assert len(script.calls) == 1


async def test_without_reconnect_a_lost_connection_is_the_end(script: Any) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=False)
    with anyio.fail_after(30):
        async with client as spark:
            script.driver.ended(Close(1006, "cable", origin=Origin.LOST))
            with pytest.raises(ConnectionLost, match="cable"):
                await spark.receive()
            with pytest.raises(ConnectionLost):
                await client.wait_for(State.OPEN)
            await client.wait_for(State.CLOSED)
    assert isinstance(client.error, ConnectionLost)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_passing_refusal_is_tried_again(script: Any, status: int) -> None:
    script.steps = [refusal(status)]
    with anyio.fail_after(30):
        async with connect("ws://h/ws", connector=script, reconnect=AT_ONCE):
            assert len(script.calls) == 2


async def test_a_refusal_that_says_retry_is_tried_again(script: Any) -> None:
    script.steps = [refusal(403, retry=True)]
    with anyio.fail_after(30):
        async with connect("ws://h/ws", connector=script, reconnect=AT_ONCE):
            assert len(script.calls) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 426, 501])
async def test_a_refusal_ends_it(script: Any, watch: Any, status: int) -> None:
    script.steps = [refusal(status, code=4501)]
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30), pytest.raises(ConnectionRejected) as error:
        async with client:
            pass
    assert (error.value.status, error.value.code) == (status, 4501)
    assert isinstance(error.value.__cause__, HandshakeRejected)
    assert seen.states == ["connecting", "closed"]
    assert seen.steps[-1].error is client.error is error.value


async def test_a_later_refusal_ends_it_too(script: Any, watch: Any) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            script.steps = [refusal(401)]
            script.driver.ended(Close(1012, origin=Origin.PEER))
            with pytest.raises(ConnectionRejected, match="401 no"):
                await spark.receive()
            await seen.until("connecting", "closed")
    assert isinstance(client.error, ConnectionRejected)
    assert client.error.status == 401
    assert isinstance(client.error.__cause__, HandshakeRejected)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 3500, 4500, 4999])
async def test_a_close_code_that_says_do_not_come_back_ends_it(script: Any, code: int) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    with anyio.fail_after(30):
        async with client as spark:
            script.driver.ended(Close(code, "go away", origin=Origin.PEER))
            with pytest.raises(ConnectionRejected, match=f"{code} go away"):
                await spark.receive()
    assert isinstance(client.error, ConnectionRejected)
    assert (client.error.status, len(script.calls)) == (0, 1)


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3000, 4008, 4499])
async def test_other_close_codes_invite_it_back(script: Any, watch: Any, code: int) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client:
            script.driver.ended(Close(code, origin=Origin.PEER))
            await seen.until("waiting", "connecting", "open")


async def test_a_server_that_is_done_ends_the_loop(script: Any) -> None:
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    with anyio.fail_after(30):
        async with client as spark:
            script.driver.receiver.on_message('"last"')
            script.driver.ended(Close(1000, origin=Origin.PEER))
            assert [message async for message in spark] == ["last"]
    assert client.error is None
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        ProtocolError("no WebSocket"),
        Redirected(302, "ws://there/"),
        ConfigError("no such proxy"),
        ssl.SSLCertVerificationError(1, "self-signed certificate"),
        ssl.SSLError(1, "wrong version number"),
        ValueError("of the application"),
    ],
)
async def test_what_will_not_get_better_ends_it(script: Any, error: Exception) -> None:
    script.steps = [error]
    client = connect("ws://h/ws", connector=script, reconnect=AT_ONCE)
    with anyio.fail_after(30), pytest.raises(type(error)) as raised:
        async with client:
            pass
    assert raised.value is error
    assert client.error is error

    script.steps = [9, error]  # and later
    with anyio.fail_after(30):
        async with client as spark:
            script.driver.ended(Close(1006, origin=Origin.LOST))
            with pytest.raises(ConnectionLost):
                await spark.receive()
    assert client.error is error


@pytest.mark.parametrize("error", [OSError("x"), ssl.SSLEOFError(8, "cut"), TimeoutError("slow")])
async def test_trouble_on_the_way_is_tried_again(script: Any, error: Exception) -> None:
    script.steps = [error]
    with anyio.fail_after(30):
        async with connect("ws://h/ws", connector=script, reconnect=AT_ONCE):
            assert len(script.calls) == 2


async def test_an_attempt_has_a_timeout(script: Any) -> None:
    script.steps = [None]
    client = connect("ws://h/ws", connector=script, reconnect=False, timeout=0.01)
    with anyio.fail_after(30), pytest.raises(Unreachable, match=r"within timeout = 0\.01 s"):
        async with client:
            pass


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("7", 7), ("99999999", LONGEST_WISH), ("9" * 400, LONGEST_WISH), ("soon", 0), ("-5", 0)],
)
async def test_retry_after_comes_on_top(
    script: Any, watch: Any, longest: None, wish: str, seconds: float
) -> None:
    script.steps = [refusal(503, wish)]
    client = connect("ws://h/ws", connector=script, reconnect=Backoff(first=20))
    seen = watch(client)

    @client.on_state
    def hurry(change: Any) -> None:
        client.reconnect_now()

    with anyio.fail_after(30):
        async with client:
            pass
    assert seen.steps[1].delay == 20 + seconds
