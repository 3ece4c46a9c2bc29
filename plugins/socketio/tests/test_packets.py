"""The forms of packets, without a server."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import DecodeError, EncodeError, LimitExceeded, ProtocolError
from unisock_socketio.msgpack import MsgpackParser
from unisock_socketio.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MAX_NESTING,
    NOTHING,
    Packet,
    Parser,
    TextParser,
)

TEXT = TextParser(10)
PARSERS = [TEXT, MsgpackParser(10)]
parsers = pytest.mark.parametrize("parser", PARSERS, ids=["text", "msgpack"])

EXAMPLES: list[tuple[Any, Packet]] = [
    ("0", Packet(CONNECT, "/")),
    ('0{"token":1}', Packet(CONNECT, "/", {"token": 1})),
    ('0/chat,{"sid":"x"}', Packet(CONNECT, "/chat", {"sid": "x"})),
    ("1/chat,", Packet(DISCONNECT, "/chat")),
    ("1", Packet(DISCONNECT, "/")),
    ('2["hello",1]', Packet(EVENT, "/", ["hello", 1])),
    ('2/chat,12["x"]', Packet(EVENT, "/chat", ["x"], 12)),
    ("2[5]", Packet(EVENT, "/", [5])),
    ("3456[]", Packet(ACK, "/", [], 456)),
    ('4/chat,{"message":"no"}', Packet(CONNECT_ERROR, "/chat", {"message": "no"})),
]


def feed(parser: Parser, wire: Any, name_bytes: int = 200) -> Packet | None:
    decoder = parser.decoder(name_bytes)
    packet = None
    for message in wire if isinstance(wire, tuple) else (wire,):
        packet = decoder.feed(message)
    return packet


@pytest.mark.parametrize(("text", "packet"), EXAMPLES, ids=[str(text) for text, _ in EXAMPLES])
def test_the_examples_of_the_protocol(text: str, packet: Packet) -> None:
    assert feed(TEXT, text) == packet
    assert feed(TEXT, TEXT.pack(packet.kind, packet.namespace, packet.data, packet.id)) == packet


def test_what_clients_write_otherwise_is_the_same() -> None:
    assert feed(TEXT, "1/chat") == Packet(DISCONNECT, "/chat")  # the last comma may be left out
    assert feed(TEXT, "0/chat") == Packet(CONNECT, "/chat")
    assert feed(TEXT, '2/,["x"]') == Packet(EVENT, "/", ["x"])


def test_bytes_follow_the_text() -> None:
    wire = TEXT.pack(EVENT, "/chat", ["up", b"\1", {"a": [bytearray(b"\2"), None]}], 7)
    assert wire == (
        '52-/chat,7["up",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1},null]}]',
        b"\1",
        b"\2",
    )
    assert feed(TEXT, wire) == Packet(EVENT, "/chat", ["up", b"\1", {"a": [b"\2", None]}], 7)
    assert TEXT.pack(ACK, "/", [b"\3"], 0) == ('61-0[{"_placeholder":true,"num":0}]', b"\3")


def test_bytes_in_structs_are_found() -> None:
    class Picture(msgspec.Struct):
        name: str
        pixels: bytes

    wire = TEXT.pack(EVENT, "/", ["picture", Picture("cat", b"\0")])
    assert wire == ('51-["picture",{"name":"cat","pixels":{"_placeholder":true,"num":0}}]', b"\0")
    packet = feed(MsgpackParser(10), MsgpackParser(10).pack(EVENT, "/", ["x", Picture("a", b"b")]))
    assert packet == Packet(EVENT, "/", ["x", {"name": "a", "pixels": b"b"}])


def test_what_looks_like_a_placeholder_is_data_in_a_packet_without_attachments() -> None:
    data = ["x", {"_placeholder": True, "num": 0}]
    assert feed(TEXT, TEXT.pack(EVENT, "/", data)) == Packet(EVENT, "/", data)


def test_what_notepack_writes_for_javascript() -> None:
    buffer = msgspec.msgpack.Ext(0, b"\1\2")
    other = msgspec.msgpack.Ext(5, b"\1")
    message = msgspec.msgpack.encode({"type": 2, "nsp": "/", "data": ["x", buffer, other]})
    assert feed(MsgpackParser(10), message) == Packet(EVENT, "/", ["x", b"\1\2", other])
    undefined = msgspec.msgpack.Ext(0, b"\0")
    message = msgspec.msgpack.encode({"type": 0, "nsp": "/", "data": undefined, "id": undefined})
    assert feed(MsgpackParser(10), message) == Packet(CONNECT, "/")


NOT_TEXT: list[Any] = [
    "", "7", "9", "x", "-1", "\x00", " 2[]",  # no type
    "2", "2{}", "2[]", "2null", '2"x"', '2{"0":"x"}', "2[null]", "2[{}]", "2[[]]", "2[true]",
    '2[{"toString":"x"}]', '2["disconnect"]', '2["connect"]', '2["newListener"]',
    '2["x"]x', "2abc", '2abc["x"]', '2-1["x"]', '2²["x"]', '2["x"', "2[1e999999", '225-["x"]',
    "3[]", "31", "31{}", '3["x"]', '31"x"',  # acknowledgements
    "0[]", "0null", "01", "0abc", '0"x"', "0/a\x1eb,", "0/a\x00", "0/\u202e,",
    "1{}", "1[]", "11", "1null", "4", "4[]", "44", "4null",
    "5", "51", "5-", '5["x"]', "50-[]", "5-1-[]", "51.5-[]", "51-", "51-{}", "5x-[]", "51-[]",
    '6["x"]', "61-[]", '60-1["x"]', "51-null", '5²-["x"]',
    '5' + "9" * 5000 + '-["x"]', "2" + "1" * 5000 + '["x"]', "3" + "1" * 16 + "[]",
    "2" + "[" * 100_000, '2["x",' + "[" * 100_000 + "]" * 100_000 + "]",
    "2/" + "n" * 300 + ',["x"]', "0/" + "ü" * 101, "511-[]", '511-["x"]',
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NOT_TEXT)))
def test_what_is_no_packet(number: int) -> None:
    with pytest.raises((ProtocolError, DecodeError, LimitExceeded)):
        feed(TEXT, NOT_TEXT[number])


@pytest.mark.parametrize(
    "data",
    [
        '{"_placeholder":true,"num":1}',
        '{"_placeholder":true,"num":-1}',
        '{"_placeholder":true,"num":0.5}',
        '{"_placeholder":true,"num":"0"}',
        '{"_placeholder":true,"num":"splice"}',
        '{"_placeholder":true,"num":null}',
        '{"_placeholder":true,"num":true}',
        '{"_placeholder":true}',
        '[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
        "[" * 300 + "]" * 300,
    ],
)
def test_placeholders_that_lead_nowhere(data: str) -> None:
    with pytest.raises((ProtocolError, LimitExceeded)):
        feed(TEXT, (f'51-["x",{data}]', b"\0"))


def test_attachments_come_when_they_were_announced() -> None:
    with pytest.raises(ProtocolError, match="not announced"):
        feed(TEXT, b"\0")
    with pytest.raises(ProtocolError, match="instead of an attachment"):
        feed(TEXT, ('51-["x"]', '2["y"]'))
    with pytest.raises(ProtocolError, match="not announced"):
        feed(TEXT, ('51-["x"]', b"\0", b"\0"))


def test_the_caps() -> None:
    with pytest.raises(LimitExceeded, match="max_attachments = 10"):
        feed(TEXT, '511-["x"]')
    with pytest.raises(EncodeError, match="max_attachments = 10"):
        TEXT.pack(EVENT, "/", ["x", *[b""] * 11])
    assert isinstance(TextParser(11).pack(EVENT, "/", ["x", *[b""] * 11]), tuple)
    with pytest.raises(LimitExceeded, match="channel_name_bytes = 4"):
        feed(TEXT, "0/long", 4)
    deep: Any = b""
    for _ in range(MAX_NESTING + 2):
        deep = [deep]
    with pytest.raises(EncodeError, match="nesting"):
        TEXT.pack(EVENT, "/", ["x", deep])


@parsers
@pytest.mark.parametrize("data", [object(), {"x": object()}, "\ud800", {1j: 2}])
def test_what_has_no_form(parser: Parser, data: object) -> None:
    with pytest.raises(EncodeError):
        parser.pack(EVENT, "/", ["x", data])
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError):
        parser.pack(EVENT, "/", ["x", loop])


NOT_MAPS: list[Any] = [
    None, 1, "x", [], {}, {"type": 2}, {"type": 2, "nsp": "/"}, {"nsp": "/"},
    {"type": 5, "nsp": "/", "data": ["x"]}, {"type": -1, "nsp": "/"},
    {"type": True, "nsp": "/", "data": ["x"]}, {"type": 2, "nsp": None, "data": ["x"]},
    {"type": 2, "nsp": "chat", "data": ["x"]}, {"type": 2, "nsp": "/", "data": "x"},
    {"type": 2, "nsp": "/", "data": [{}]}, {"type": 2, "nsp": "/", "data": ["x"], "id": "1"},
    {"type": 2, "nsp": "/", "data": ["x"], "id": -1}, {"type": 2, "nsp": "/" * 300, "data": ["x"]},
    {"type": 2, "nsp": "/", "data": ["x"], "id": 10**17}, {"type": 3, "nsp": "/", "data": []},
    {"type": 0, "nsp": "/", "data": []}, {"type": 1, "nsp": "/", "data": {}},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NOT_MAPS)))
def test_what_is_no_map_of_a_packet(number: int) -> None:
    with pytest.raises((ProtocolError, DecodeError, LimitExceeded)):
        feed(PARSERS[1], msgspec.msgpack.encode(NOT_MAPS[number]))


def test_text_has_no_place_among_maps() -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(PARSERS[1], '2["x"]')
    assert caught.value.code == 1003


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=20).map(
    lambda name: "/" + name.replace(",", "")
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@parsers
@given(
    namespace=NAMES,
    name=st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: "e" + text),
    args=st.lists(
        VALUES | st.binary(max_size=8) | st.lists(st.binary(max_size=3), max_size=3), max_size=3
    ),
    number=st.none() | st.integers(0, 10**15 - 1),
)
def test_whatever_is_packed_is_read(
    parser: Parser, namespace: str, name: str, args: list[Any], number: int | None
) -> None:
    wire = parser.pack(EVENT, namespace, [name, *args], number)
    packet = feed(parser, wire)
    assert packet is not None
    assert packet.namespace == namespace
    assert packet.id == number
    if "_placeholder" not in repr(args):
        assert packet.data == [name, *args]


@parsers
@given(messages=st.lists(st.text() | st.binary(max_size=50), max_size=4))
def test_noise_is_refused_with_an_error_of_ours(parser: Parser, messages: list[Any]) -> None:
    decoder = parser.decoder(200)
    try:
        for message in messages:
            packet = decoder.feed(message)
            assert packet is None or isinstance(packet, Packet)
    except (ProtocolError, DecodeError, LimitExceeded):
        pass


@given(
    head=st.sampled_from(["2", "5", "51-", "52-", "61-1", "3", "31", "0", "4", "2/a,", "51-/a,9"]),
    data=VALUES.map(lambda value: msgspec.json.encode(value).decode()) | st.text(max_size=10),
    attachments=st.lists(st.binary(max_size=4), max_size=3),
)
def test_near_misses_are_refused_too(head: str, data: str, attachments: list[bytes]) -> None:
    decoder = TEXT.decoder(200)
    try:
        for message in (head + data, *attachments):
            packet = decoder.feed(message)
            assert packet is None or packet.kind in (CONNECT, EVENT, ACK, CONNECT_ERROR)
    except (ProtocolError, DecodeError, LimitExceeded):
        pass


@given(value=VALUES)
def test_maps_of_noise_are_refused(value: Any) -> None:
    parser = MsgpackParser(10)
    for packet in (value, {"type": 2, "nsp": "/", "data": value, "id": value}):
        try:
            read = feed(parser, msgspec.msgpack.encode(packet))
        except (ProtocolError, DecodeError, LimitExceeded):
            continue
        assert read is not None


def test_numbers_that_are_none_become_null() -> None:
    assert TEXT.pack(EVENT, "/", ["x", math.nan]) == '2["x",null]'
    assert feed(TEXT, '2["x",1e5]') == Packet(EVENT, "/", ["x", 100000.0])
    assert NOTHING is msgspec.UNSET
