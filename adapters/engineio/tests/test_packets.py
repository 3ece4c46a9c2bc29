"""Packets and payloads, without a server: round trips, and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unisock import EncodeError, LimitExceeded, ProtocolError
from unisock.framing import TEXT_AND_BINARY, WebSocketFraming
from unisock_engineio.packets import BINARY_TYPE, REVISIONS, TEXT_TYPE, Revision, compose

V4, V3 = REVISIONS["4"], REVISIONS["3"]
revisions = pytest.mark.parametrize("revision", [V4, V3], ids=["v4", "v3"])

text = st.text(st.characters(codec="utf-8", exclude_characters="\x1e"))
messages = st.lists(st.one_of(text, st.binary()), min_size=1, max_size=8)


def decoded(revision: Revision, body: bytes, kind: str) -> list[str | bytes]:
    found: list[str | bytes] = []
    for packet in revision.split(body, kind, 100):
        type_, data = revision.decode(packet)
        assert type_ == "4"
        found.append(data)
    return found


@revisions
@given(messages, st.booleans())
@example(["😀:1", b"\x00", "ÿ"], False)
@example(["😀1:🎈", "12:"], True)
def test_what_is_sent_comes_back(revision: Revision, sent: list[str | bytes], base64: bool) -> None:
    framing = compose(revision, base64, None)
    packets = [framing.frame(message) for message in sent]
    body, kind = revision.join(packets, base64=base64)
    if kind == BINARY_TYPE:
        assert revision is V3
        assert not base64
    assert decoded(revision, body, kind.partition(";")[0]) == sent


@revisions
@given(messages, st.booleans())
def test_a_websocket_carries_the_same(
    revision: Revision, sent: list[str | bytes], base64: bool
) -> None:
    framing = compose(revision, base64, TEXT_AND_BINARY)
    packets = [framing.frame(message) for message in sent]
    assert [revision.decode(packet) for packet in packets] == [("4", each) for each in sent]
    if base64:
        assert all(isinstance(packet, str) for packet in packets)


@revisions
@given(st.binary(), st.sampled_from(["text/plain", BINARY_TYPE, ""]))
@example(b"\x00\xff", BINARY_TYPE)
@example(b"\x01\x01\x02\xffa", BINARY_TYPE)
@example(b"\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff", BINARY_TYPE)
@example("2:😀3:4😀".encode(), "text/plain")
@example("1:😀".encode(), "text/plain")
@example(b"99999999999999999999:4", "text/plain")
@example("٣:4ab".encode(), "text/plain")
@example(b"b====", "text/plain")
@example(b"2:b4", "text/plain")
@example(b"", BINARY_TYPE)
def test_any_payload_is_decoded_or_refused(revision: Revision, body: bytes, kind: str) -> None:
    try:
        for packet in revision.split(body, kind, 100):
            type_, data = revision.decode(packet)
            assert type_ in tuple("0123456")
            assert isinstance(data, str | bytes)
    except (ProtocolError, LimitExceeded):
        pass


@revisions
@given(st.one_of(st.text(), st.binary()))
@example("")
@example(b"")
@example("7")
@example("b")
@example("b4=")
@example("b\u0660AAAA")
def test_any_packet_is_decoded_or_refused(revision: Revision, packet: str | bytes) -> None:
    try:
        type_, _ = revision.decode(packet)
    except ProtocolError:
        return
    assert type_ in tuple("0123456")


@revisions
def test_too_many_packets_are_refused(revision: Revision) -> None:
    body, kind = revision.join(["6"] * 5, base64=False)
    assert [*revision.split(body, kind.partition(";")[0], 5)] == ["6"] * 5
    with pytest.raises(LimitExceeded, match="max_packets = 4"):
        list(revision.split(body, kind.partition(";")[0], 4))


@pytest.mark.parametrize(
    ("packets", "base64", "body", "kind"),
    [
        # The examples of the protocol's documents.
        (["4hello", "4€"], True, "6:4hello2:4€".encode(), TEXT_TYPE),
        (["4€", b"\x04\x01\x02\x03\x04"], True, b"2:4\xe2\x82\xac10:b4AQIDBA==", TEXT_TYPE),
        (
            ["4€", b"\x04\x01\x02\x03\x04"],
            False,
            b"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04",
            BINARY_TYPE,
        ),
    ],
)
def test_payloads_of_revision_3(
    packets: list[str | bytes], base64: bool, body: bytes, kind: str
) -> None:
    assert V3.join(packets, base64=base64) == (body, kind)


def test_a_payload_of_revision_4() -> None:
    joined = V4.join(["4hello", "2", "4world", b"\x01\x02\x03\x04"], base64=False)
    assert joined == (b"4hello\x1e2\x1e4world\x1ebAQIDBA==", TEXT_TYPE)


def test_revision_4_has_no_binary_payloads() -> None:
    with pytest.raises(ProtocolError, match="no binary payloads"):
        V4.split(b"4hello", BINARY_TYPE, 100)


def test_text_that_polling_cannot_carry() -> None:
    with pytest.raises(EncodeError, match=r"U\+001E.*send bytes, or use the json codec"):
        compose(V4, False, None).frame("a\x1eb")
    assert compose(V3, False, None).frame("a\x1eb") == "4a\x1eb"
    assert compose(V4, False, WebSocketFraming()).frame("a\x1eb") == b"\x81\x044a\x1eb"
    with pytest.raises(EncodeError, match="no UTF-8"):
        compose(V4, False, None).frame("\ud800")


def test_sessions_of_a_kind_share_one_framing() -> None:
    lower = WebSocketFraming()
    assert compose(V4, False, lower) is compose(V4, False, lower)
    assert compose(V4, False, lower) is not compose(V4, False, WebSocketFraming())
    assert compose(V4, False, lower) is not compose(V4, True, lower)
    assert compose(V4, False, None) is compose(V4, False, None)
