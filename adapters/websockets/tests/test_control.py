"""Pings and pongs by hand, from both ends, and how a client learns of its server's close."""

from typing import Any

import anyio
import pytest

from unisock import ClosedByPeer, Server, Spark, connect
from unisock.messages import ControlFrame

pytestmark = pytest.mark.anyio


class Heard:
    """What one end overhears."""

    def __init__(self) -> None:
        self.frames: list[ControlFrame] = []
        self._news = anyio.Event()

    def __call__(self, frame: ControlFrame) -> None:
        self.frames.append(frame)
        news, self._news = self._news, anyio.Event()
        news.set()

    async def wait_for(self, *frames: ControlFrame) -> None:
        with anyio.fail_after(30):
            while not set(frames) <= set(self.frames):
                await self._news.wait()


async def test_both_ends_see_both_directions(unisock_serve: Any) -> None:
    server, theirs, ours = Server(), Heard(), Heard()

    @server.on_open
    def listen(spark: Spark) -> None:
        assert spark.connection.overhear(theirs)

    running = await unisock_serve(server, adapter="websockets")
    async with connect(running.url + "/ws") as spark:
        assert spark.connection.overhear(ours)
        assert spark.connection.control("ping", b"knock")
        assert spark.connection.control("pong", b"unasked")
        await ours.wait_for(ControlFrame("pong", b"knock"))
        await theirs.wait_for(ControlFrame("pong", b"unasked"))
        assert ours.frames == [
            ControlFrame("ping", b"knock", sent=True),
            ControlFrame("pong", b"unasked", sent=True),
            ControlFrame("pong", b"knock"),
        ]
        assert theirs.frames == [
            ControlFrame("ping", b"knock"),
            ControlFrame("pong", b"knock", sent=True),
            ControlFrame("pong", b"unasked"),
        ]
        spark.connection.overhear(None)
        (peer,) = running.hub
        assert peer.connection.control("ping", b"who is there")
        await theirs.wait_for(ControlFrame("pong", b"who is there"))
        assert len(ours.frames) == 3


async def test_a_control_frame_has_125_bytes_at_most(unisock_serve: Any) -> None:
    running = await unisock_serve(Server(), adapter="websockets")
    async with connect(running.url + "/ws") as spark:
        assert spark.connection.control("ping", b"x" * 125)
        with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
            spark.connection.control("ping", b"x" * 126)
    assert not spark.connection.control("ping")


async def test_a_client_learns_how_its_server_closed(unisock_serve: Any) -> None:
    server = Server()

    @server.on_message
    def bye(spark: Spark, message: object) -> None:
        spark.close_nowait(1000, "so long")

    running = await unisock_serve(server, adapter="websockets")
    async with connect(running.url + "/ws") as spark:
        await spark.send("bye?")
        with anyio.fail_after(30), pytest.raises(ClosedByPeer) as closed:
            await spark.receive()
    assert (closed.value.code, closed.value.reason) == (1000, "so long")
