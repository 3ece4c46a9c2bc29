"""The decoders and encoders, without a server: whatever comes, and nothing but typed errors."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unisock import ConfigError, EncodeError, LimitExceeded, ProtocolError
from unisock.framing import TEXT_AND_BINARY, WebSocketFraming
from unisock.options import read_options
from unisock_sockjs.carriers import Packing
from unisock_sockjs.options import Options
from unisock_sockjs.packets import QUOTED, PacketFraming, decode, quote

texts = st.text()
any_text = st.text(st.characters(exclude_categories=[]))


@given(st.lists(texts, max_size=20))
def test_what_a_client_encodes_is_decoded(messages: list[str]) -> None:
    for data in (json.dumps(messages), json.dumps(messages, ensure_ascii=False)):
        assert decode(data, 20) == decode(data.encode(), 20) == messages


@given(any_text)
@example("\ud83d")
@example("\x7f\u2028")
def test_what_is_sent_is_ascii_and_comes_back(message: str) -> None:
    quoted = quote(message)
    assert quoted.isascii()
    assert not any(byte < 0x20 for byte in quoted)
    assert json.loads(quoted) == message


@given(st.binary() | st.text() | any_text, st.booleans())
@example(b'["\\ud800', False)
@example('["\\ud800", 1]', False)
@example('"\\udfff"', True)
@example("[" * 100_000 + "\\ud800", True)
def test_anything_else_is_a_typed_error(data: bytes | str, single: bool) -> None:
    try:
        messages = decode(data, 10, single=single)
    except (ProtocolError, LimitExceeded):
        return
    for message in messages:
        message.encode()


@given(st.recursive(st.none() | st.integers() | texts, st.lists, max_leaves=5))
def test_other_json_is_refused(value: object) -> None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return
    with pytest.raises(ProtocolError, match="Payload expected"):
        decode(msgspec.json.encode(value), 10)


def test_too_many_messages() -> None:
    assert len(decode(b'["a","b"]', 2)) == 2
    with pytest.raises(LimitExceeded, match="post_messages = 2"):
        decode(b'["a","b","c"]', 2)


@given(texts)
def test_frames_are_composed(message: str) -> None:
    below = WebSocketFraming()
    packet = f"a[{json.dumps(message)}]"
    framed = PacketFraming(below).frame(message)
    assert isinstance(framed, bytes)
    assert framed[0] == 0x81
    sent = PacketFraming(TEXT_AND_BINARY).frame(message)
    assert isinstance(sent, str)
    assert framed == below.frame(sent)
    assert json.loads(sent[1:]) == json.loads(packet[1:]) == [message]


def test_what_belongs_together_is_one_packet() -> None:
    assert PacketFraming(TEXT_AND_BINARY).frames(("a", "b")) == 'a["a","b"]'
    assert QUOTED.frames(("a", "b")) == b'"a","b"'


def test_bytes_are_refused() -> None:
    for framing in (QUOTED, PacketFraming(TEXT_AND_BINARY)):
        assert not framing.binary
        with pytest.raises(EncodeError, match="text only"):
            framing.frame(b"x")


@given(any_text)
@example("</script><!--")
def test_no_message_gets_out_of_its_script(message: str) -> None:
    packet = b"a[" + quote(message) + b"]"
    for transport in ("jsonp-polling", "htmlfile"):
        packed = Packing(transport, "f").pack(packet)
        inside = packed.removeprefix(b"<script>\np(").removeprefix(b"/**/f(")
        inside = inside.partition(b");")[0] if b"</" not in packed else inside.rpartition(b");")[0]
        assert b"<" not in inside
    event = Packing("eventsource").pack(packet)
    assert event.count(b"\n") == 2
    assert event.replace(b"%25", b"").count(b"%") == 0


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"transports": ["carrier-pigeon"]}, "there are websocket"),
        ({"response_limit": 0}, "response_limit: must be more than 0"),
        ({"disconnect_delay": -1}, "disconnect_delay"),
        ({"heartbeat_delay": -1}, "heartbeat_delay"),
        ({"post_bytes": 0}, "post_bytes"),
        ({"sockjs_url": "a b"}, "sockjs_url"),
        ({"base_url": "nowhere"}, "base_url"),
        ({"cookieless": "refuse", "session_cookie": False}, "leave session_cookie on"),
        ({"cookieless": "perhaps"}, "cookieless"),
        ({"jsonpp": True}, "did you mean jsonp"),
    ],
)
def test_options_are_checked(table: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_options("here", table, Options)


def test_transports_are_offered_one_by_one() -> None:
    assert "jsonp-polling" not in Options().offered
    assert "jsonp-polling" in Options(jsonp=True).offered
    assert Options(htmlfile=True, transports=("htmlfile", "websocket")).offered == (
        "htmlfile",
        "websocket",
    )
    assert Options(websocket=False).offered == ("xhr-streaming", "xhr-polling", "eventsource")
