"""Frames made once for many connections, checked by another implementation's parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from unisock.errors import EncodeError
from unisock.framing import TEXT, TEXT_AND_BINARY, WebSocketFraming
from unisock.messages import Message


def parse(data: bytes) -> Frame:
    """The only frame in these bytes, as websockets reads it on the client's side."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as end:
        next(parsing)
    at_end = reader.at_eof()
    with pytest.raises(StopIteration) as nothing_left:
        next(at_end)
    assert nothing_left.value.value is True
    return end.value.value


@pytest.mark.parametrize(
    ("size", "header"), [(0, 2), (1, 2), (125, 2), (126, 4), (65535, 4), (65536, 10), (1 << 20, 10)]
)
def test_each_form_of_the_length(size: int, header: int) -> None:
    framing = WebSocketFraming()
    for message, opcode in (("x" * size, Opcode.TEXT), (b"\x00" * size, Opcode.BINARY)):
        data = framing.frame(message)
        assert len(data) == header + size
        frame = parse(data)
        assert (frame.opcode, frame.fin, len(frame.data)) == (opcode, True, size)
        if size >= 126:
            head, payload = framing.parts(message)
            assert head + payload == data


@given(st.text() | st.binary(max_size=300))
def test_what_is_framed_can_be_parsed(message: Message) -> None:
    frame = parse(WebSocketFraming().frame(message))
    payload = bytes(frame.data)
    data = payload.decode() if frame.opcode is Opcode.TEXT else payload
    assert data == message
    assert (frame.rsv1, frame.rsv2, frame.rsv3) == (False, False, False)


def test_text_that_is_no_unicode_has_no_frame() -> None:
    with pytest.raises(EncodeError, match="UTF-8"):
        WebSocketFraming().frame("half a pair: \ud83d")


def test_messages_that_belong_together_get_a_frame_each() -> None:
    framing = WebSocketFraming()
    assert framing.frames(("a", b"b")) == (framing.frame("a"), framing.frame(b"b"))
    assert framing.frames("a") == framing.frame("a")


def test_sessions_without_frames_send_messages_as_they_are() -> None:
    assert TEXT_AND_BINARY.frames(("a", b"b")) == ("a", b"b")
    assert TEXT.frames("a") == "a"
    assert not TEXT.binary


def test_a_text_session_refuses_binary_and_says_what_to_do() -> None:
    with pytest.raises(EncodeError, match="send str, or use the json codec"):
        TEXT.frames(("a", b"b"))
