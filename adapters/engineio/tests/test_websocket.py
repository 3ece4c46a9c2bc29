"""Sessions on a WebSocket from the beginning, and broadcasts to them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from unisock import ConnectionClosed, HandshakeRejected, Sent
from unisock.framing import WebSocketFraming
from unisock.memory import Refused

pytestmark = pytest.mark.anyio


async def test_the_handshake(serve: Any) -> None:
    async with serve(max_payload=1000) as rig:
        peer = await rig.websocket("EIO=4&transport=websocket")
        packet = str(await peer.receive())
        (spark,) = rig.sparks
        assert packet[0] == "0"
        assert msgspec.json.decode(packet[1:]) == {
            "sid": spark.id,
            "upgrades": [],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1000,
        }
        assert spark.handshake.transport == "websocket"


async def test_what_an_open_handler_sends_follows_the_handshake(serve: Any) -> None:
    async with serve(on_open=lambda spark: spark.send_nowait("welcome")) as rig:
        peer = await rig.open_websocket()
        assert await peer.receive() == "4welcome"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("transport=websocket", 5),
        ("EIO=abc&transport=websocket", 5),
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("EIO=4&transport=polling", 3),
        ("EIO=4&transport=websocket&sid=who", 1),
    ],
)
async def test_what_is_no_handshake(serve: Any, query: str, code: int) -> None:
    async with serve() as rig:
        with pytest.raises(Refused) as refused:
            await rig.websocket(query)
        assert refused.value.status == 400
        assert rig.code(refused.value.response) == code


async def test_messages_both_ways(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        for packet in ("4hello", b"\x01\x02", "bAQID", "6", "4"):
            await peer.send(packet)
        assert rig.seen == ["hello", b"\x01\x02", b"\x01\x02\x03", ""]
        assert [await peer.receive() for _ in range(4)] == [
            "4hello",
            b"\x01\x02",
            b"\x01\x02\x03",
            "4",
        ]


async def test_a_client_that_takes_text_only(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket("&b64=1")
        await peer.send(b"\x01\x02\x03\x04")
        assert await peer.receive() == "bAQIDBA=="


@pytest.mark.parametrize("packet", ["abc", "", "7", "b?"])
async def test_a_bad_packet_ends_the_session(serve: Any, packet: str) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        await peer.send(packet)
        assert (await peer.wait_closed()).code == 1002
        assert (rig.closes[0].code, rig.closes[0].reason) == (1002, "parse error")


async def test_the_client_closes_with_a_packet(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        await peer.send("1")
        assert (await peer.wait_closed()).code == 1000
        assert (rig.closes[0].code, rig.closes[0].reason) == (1000, "transport close")


async def test_the_close_code_of_a_websocket_arrives(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        await peer.close(4002, "had enough")
        assert (rig.closes[0].code, rig.closes[0].reason) == (4002, "had enough")
        other = await rig.open_websocket()
        other.drop()
        assert rig.closes[1].code == 1006
        assert rig.gateway.connections == []


async def test_the_server_closes(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        rig.sparks[0].send_nowait("goodbye")
        rig.sparks[0].close_nowait(4003, "enough")
        assert await peer.receive() == "4goodbye"
        closed = await peer.wait_closed()
        assert (closed.code, closed.reason) == (4003, "enough")
        assert rig.closes[0].code == 4003
        assert rig.sparks[0].send_nowait("x") is Sent.DROPPED


async def test_a_message_over_the_limit(serve: Any) -> None:
    async with serve(max_payload=100) as rig:
        peer = await rig.open_websocket()
        await peer.send("4" + "x" * 99)
        await peer.send("4" + "x" * 100)
        assert (await peer.wait_closed()).code == 1009
        assert rig.seen == ["x" * 99]


async def test_a_slow_client_is_bounded_by_the_endpoints_limits(serve: Any) -> None:
    async with serve({"overflow": "disconnect", "limits": {"outbox_messages": 3}}) as rig:
        await rig.open_websocket()
        outcomes = [rig.sparks[0].send_nowait("x" * 70_000) for _ in range(5)]
        assert outcomes == [Sent.SENT, *[Sent.QUEUED] * 3, Sent.DROPPED]
        assert rig.sparks[0].closed.code == 4008
        with pytest.raises(ConnectionClosed):
            await rig.sparks[0].connection.drain()


async def test_reading_stops_while_the_application_is_busy(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        connection = rig.sparks[0].connection
        connection.hold()
        assert peer._connection.paused is not None
        connection.release()
        assert peer._connection.paused is None


async def test_who_may_not_come(serve: Any) -> None:
    def authorize(handshake: Any) -> None:
        raise HandshakeRejected("no ticket", status=401, code=4401)

    async with serve(authorize=authorize) as rig:
        with pytest.raises(Refused) as refused:
            await rig.websocket("EIO=4&transport=websocket")
        assert refused.value.status == 401
        assert refused.value.response.body == (
            b'{"code":4,"message":"no ticket","error":"no ticket","retry":false}'
        )
        answer = await rig.request("EIO=4&transport=polling")
        assert (answer.status, rig.code(answer)) == (401, 4)
    async with serve({"refusal": "close"}, authorize=authorize) as rig:
        peer = await rig.websocket("EIO=4&transport=websocket")
        closed = await peer.wait_closed()
        assert (closed.code, closed.reason) == (4401, "no ticket")


class Counting(WebSocketFraming):
    """Counts what it frames."""

    def __init__(self) -> None:
        self.count = 0

    def frame(self, message: Any) -> bytes:
        self.count += 1
        return super().frame(message)


async def test_a_broadcast_is_framed_once(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    framing = Counting()
    monkeypatch.setattr("unisock.memory.TEXT_AND_BINARY", framing)
    async with serve() as rig:
        peers = [await rig.websocket("EIO=4&transport=websocket") for _ in range(5)]
        before = framing.count
        delivery = rig.server.hub.everyone.send_nowait("news")
        assert delivery.sent == 5
        assert framing.count == before + 1
        for peer in peers:
            await peer.receive()
            assert await peer.receive() == b"\x81\x054news"
