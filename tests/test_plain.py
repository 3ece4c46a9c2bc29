"""The plain dialect: a message is a payload, or, where somebody wants events, primus-emitter's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.codecs import JsonCodec, MsgpackCodec, TextCodec
from unisock.errors import EncodeError, ProtocolError
from unisock.hookspecs import Register, hookimpl
from unisock.messages import Ack, Close, Data, Event, Fault, Packet
from unisock.plain import PlainDialect
from unisock.server import Server
from unisock.spark import Spark


class Catcher:
    """A plugin that takes all packets."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        register.packet(Event, self.take)
        register.packet(Ack, self.take, at_once=True)

    def take(self, spark: Spark, packet: Packet) -> None:
        self.packets.append(packet)


def test_a_payload_is_a_message() -> None:
    dialect = PlainDialect(JsonCodec())
    assert dialect.encode_data([1]) == dialect.encode(Data([1])) == "[1]"
    assert PlainDialect(MsgpackCodec()).encode_data([1]) == b"\x91\x01"


def test_events_have_the_envelope_of_primus_emitter() -> None:
    encode = PlainDialect(JsonCodec()).encode
    assert encode(Event("news", (1, None))) == '{"type":0,"data":["news",1,null]}'
    assert encode(Event("ask", (), 7)) == '{"type":0,"data":["ask"],"id":7}'
    assert encode(Ack(7, ("yes",))) == '{"type":1,"id":7,"data":["yes"]}'
    fault = '{"type":1,"id":7,"data":[],"error":{"code":"no","message":""}}'
    assert encode(Ack(7, fault=Fault("no"))) == fault


def test_it_has_no_form_for_anything_else() -> None:
    class Strange(Packet, frozen=True):
        pass

    with pytest.raises(EncodeError, match="Strange packets"):
        PlainDialect(JsonCodec()).encode(Strange())
    with pytest.raises(EncodeError, match="text codec"):
        PlainDialect(TextCodec()).encode(Event("x"))


def test_it_says_no_goodbye() -> None:
    assert PlainDialect(JsonCodec()).farewell(Close()) is None


async def talk(serving: Any, messages: list[str], *, catch: bool) -> tuple[Any, ...]:
    """What a server made of some messages: payloads, packets, errors, and how it ended."""
    catcher = Catcher()
    server = Server(adapter="memory", folder=None, plugins=[catcher] if catch else [])
    payloads: list[object] = []
    errors: list[Exception] = []
    server.on_message(lambda spark, payload: payloads.append(payload))
    server.on_error(lambda spark, error: errors.append(error))
    async with serving(server) as memory:
        peer = await memory.connect()
        for message in messages:
            await peer.send(message)
        closed = peer.closed
    return payloads, catcher.packets, errors, closed


@pytest.mark.anyio
async def test_envelopes_are_opened_where_somebody_wants_them(serving: Any) -> None:
    messages = [
        '{"type":0,"data":["news",1,[2]]}',
        '{"type":0,"data":["ask"],"id":0}',
        '{"type":1,"id":4,"data":[null]}',
        '{"type":1,"id":5,"data":[],"error":{"code":"no","message":"never"}}',
        '{"type":1,"id":6,"data":[],"error":"oops"}',
    ]
    payloads, packets, errors, closed = await talk(serving, messages, catch=True)
    assert packets == [
        Event("news", (1, [2])),
        Event("ask", (), 0),
        Ack(4, (None,)),
        Ack(5, (), Fault("no", "never")),
        Ack(6, (), Fault("oops")),
    ]
    assert (payloads, errors, closed) == ([], [], None)


@pytest.mark.anyio
async def test_envelopes_are_data_where_nobody_does(serving: Any) -> None:
    payloads, _, errors, closed = await talk(serving, ['{"type":0,"data":[]}'], catch=False)
    assert (payloads, errors, closed) == ([{"type": 0, "data": []}], [], None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message",
    ["null", "[]", "0", '""', "{}", '{"type":0}', '{"type":0,"data":{}}', '{"type":2,"data":[]}',
     '{"type":true,"data":[]}', '{"type":"0","data":["x"]}', '{"__proto__":{"type":0}}'],
)  # fmt: skip
async def test_what_is_no_envelope_is_data(serving: Any, message: str) -> None:
    payloads, packets, errors, closed = await talk(serving, [message], catch=True)
    assert (len(payloads), packets, errors, closed) == (1, [], [], None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('{"type":0,"data":[]}', "begins with its name"),
        ('{"type":0,"data":[1]}', "begins with its name"),
        ('{"type":0,"data":["x"],"id":"1"}', "is an integer"),
        ('{"type":0,"data":["x"],"id":true}', "is an integer"),
        ('{"type":1,"data":[]}', "has the id of its event"),
        ('{"type":1,"id":1,"data":[],"error":{"code":3}}', "the error of an answer"),
    ],
)
async def test_a_broken_envelope_is_a_protocol_error(serving: Any, message: str, said: str) -> None:
    payloads, packets, errors, closed = await talk(serving, [message], catch=True)
    assert (payloads, packets) == ([], [])
    assert [type(error) for error in errors] == [ProtocolError]
    assert said in str(errors[0])
    assert closed.code == 1002


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([0, 1]) | json_values,
        "data": json_values,
        "id": json_values,
        "error": json_values,
    },
)


@given(payload=json_values | envelopes)
def test_any_payload_is_data_a_packet_or_a_protocol_error(payload: Any) -> None:
    class Party:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def on_data(self, payload: object) -> None:
            self.heard.append(payload)

        def on_packet(self, packet: Packet) -> None:
            assert isinstance(packet, Event | Ack)
            self.heard.append(packet)

        def on_violation(self, error: Exception) -> None:
            assert isinstance(error, ProtocolError)
            self.heard.append(error)

    class Stage:
        packets = frozenset({Event})
        has_channels = False
        party = Party()

        def enter(self, connection: Any, encoder: Any) -> Any:
            return self.party

    dialect, stage = PlainDialect(JsonCodec()), Stage()
    stage.party = Party()
    receiver = dialect.converse(None, stage)  # type: ignore[arg-type]
    message = dialect.codec.encode(payload)
    receiver.on_message(message)
    assert len(stage.party.heard) == 1
