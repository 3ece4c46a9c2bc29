"""Payloads to messages and back; and whatever else peers may send."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unisock.codecs import Codec, JsonCodec, MsgpackCodec, RawCodec, TextCodec
from unisock.errors import DecodeError, EncodeError
from unisock.messages import Message

CODECS: list[Codec] = [JsonCodec(), MsgpackCodec(), TextCodec(), RawCodec()]
json, msgpack, text, raw = CODECS
by_name = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner) | st.dictionaries(plain_text, inner),
    max_leaves=20,
)
msgpack_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | plain_text
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(plain_text | st.integers(0, 9), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_comes_back_as_it_went(value: Any) -> None:
    message = json.encode(value)
    assert isinstance(message, str)
    assert json.decode(message) == value
    assert json.decode(message.encode()) == value  # clients that send JSON as binary


@given(msgpack_values)
def test_msgpack_comes_back_as_it_went(value: Any) -> None:
    message = msgpack.encode(value)
    assert isinstance(message, bytes)
    assert msgpack.decode(message) == value


@given(plain_text)
def test_text_comes_back_as_it_went(value: str) -> None:
    assert text.decode(text.encode(value)) == value
    assert raw.decode(raw.encode(value)) == value


@given(st.binary())
def test_raw_bytes_come_back_as_they_went(value: bytes) -> None:
    assert raw.decode(raw.encode(value)) == value
    assert raw.encode(bytearray(value)) == value


HOSTILE: list[Message] = [
    "",
    b"",
    "[" * 100_000,
    b"[" * 100_000,
    '{"a":' * 100_000,
    "[" * 100_000 + "]" * 100_000,
    b"\x91" * 100_000,
    b"\x81\xa1a" * 100_000,
    "NaN",
    "Infinity",
    "1e999",
    "-" + "9" * 5000,
    "0" * 5000,
    '"\\ud800"',
    '"\\ud800\\u0041"',
    '"\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    "'single'",
    "{1: 2}",
    '{"a": 1} trailing',
    '{"__proto__": {"x": 1}}',
    "null",
    "[]",
    b"\xc1",  # never used
    b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff\xff",
    b"\xa2\xff\xfe",  # text that is no UTF-8
    b"\x81\x91\x01\x02",  # a list as key
    b"\x81\x81\x01\x02\x03",  # a map as key
    b"\x81\xc7\x01\x05a\x01",  # an extension as key
    b"\x81\xca\x7f\xc0\x00\x00\x01",  # NaN as key
    b"\xc7\x05\x01abcde",  # an extension
    b"\xc7\x0c\xff" + b"\xff" * 12,  # a time that never was
    b"\xd6\xff\xff\xff\xff\xff",
    b"\x92\x01",  # truncated
]


@by_name
@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: repr(message[:12]))
def test_a_decoder_takes_it_or_says_that_it_is_none(codec: Codec, message: Message) -> None:
    decode_anything(codec, message)


@by_name
@given(message=st.binary(max_size=200) | st.text(max_size=100))
@example(message="\udc80")
def test_a_decoder_never_fails_in_another_way(codec: Codec, message: Message) -> None:
    decode_anything(codec, message)


@given(msgpack_values, st.data())
def test_a_truncated_message_is_none(value: Any, data: st.DataObject) -> None:
    whole = msgpack.encode(value)
    assert isinstance(whole, bytes)
    with pytest.raises(DecodeError):
        msgpack.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def decode_anything(codec: Codec, message: Message) -> None:
    refused: DecodeError | None = None
    try:
        codec.decode(message)
    except DecodeError as error:
        refused = error
    assert refused is None or refused.code in (1003, 1007)


@pytest.mark.parametrize("bomb", ["[" * 100_000, '{"a":' * 100_000])
def test_a_depth_bomb_is_no_crash(bomb: str) -> None:
    with pytest.raises(DecodeError):
        json.decode(bomb)


def test_a_message_of_the_wrong_kind_gets_the_code_for_it() -> None:
    with pytest.raises(DecodeError) as binary:
        text.decode(b"x")
    with pytest.raises(DecodeError) as texty:
        msgpack.decode("x")
    assert binary.value.code == texty.value.code == 1003
    with pytest.raises(DecodeError) as broken:
        json.decode("{")
    assert broken.value.code == 1007


class Odd:
    pass


endless: list[Any] = []
endless.append(endless)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        *[(codec, Odd()) for codec in CODECS],
        *[(codec, "half a pair: \ud83d") for codec in CODECS],
        (json, endless),
        (json, {(1, 2): 3}),
        (msgpack, endless),
        (msgpack, 1 << 64),
        (text, b"bytes"),
        (text, None),
        (raw, 5),
        (raw, None),
    ],
    ids=lambda value: getattr(value, "name", repr(value)[:20]),
)
def test_what_has_no_form_is_refused_before_it_is_sent(codec: Codec, payload: object) -> None:
    with pytest.raises(EncodeError):
        codec.encode(payload)


def test_codecs_take_the_types_of_msgspec() -> None:
    class Point(msgspec.Struct):
        x: int

    assert json.encode(Point(3)) == '{"x":3}'
    assert msgpack.decode(msgpack.encode(Point(3))) == {"x": 3}


def test_only_codecs_that_write_bytes_ask_for_binary_sessions() -> None:
    assert [codec.name for codec in CODECS if codec.binary] == ["msgpack"]
