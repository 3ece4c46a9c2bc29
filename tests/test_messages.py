"""The values that travel between the layers, and the close codes above all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.errors import ClosedByPeer, ClosedLocally, ConnectionClosed, ConnectionLost
from unisock.messages import Close, Origin, Sent, printable

# code, may be sent (RFC 6455 section 7.4), invites the client back
CODES = [
    (1000, True, False),
    (1001, True, True),
    (1002, True, False),
    (1003, True, False),
    (1004, False, False),
    (1005, False, True),
    (1006, False, True),
    (1007, True, False),
    (1008, True, False),
    (1009, True, False),
    (1010, True, False),
    (1011, True, True),
    (1012, True, True),
    (1013, True, True),
    (1014, True, True),
    (1015, False, True),
    (1016, False, False),
    (2999, False, False),
    (3000, True, True),
    (3499, True, True),
    (3500, True, False),
    (3999, True, False),
    (4000, True, True),
    (4008, True, True),
    (4499, True, True),
    (4500, True, False),
    (4999, True, False),
    (999, False, False),
    (0, False, False),
]


@pytest.mark.parametrize(("code", "sendable", "come_back"), CODES)
def test_close_codes(code: int, sendable: bool, come_back: bool) -> None:
    assert Close.sendable(code) is sendable
    assert Close(code).come_back is come_back
    if sendable:
        assert Close.checked(code, "", None).code == code
    else:
        with pytest.raises(ValueError, match="3000"):
            Close.checked(code, "", None)


def test_codes_beyond_the_applications_are_not_sendable() -> None:
    assert not Close.sendable(5000)


def test_who_closes_may_overrule_the_code() -> None:
    assert Close(1000, reconnect=True).come_back
    assert not Close(1012, reconnect=False).come_back


@pytest.mark.parametrize(
    ("origin", "kind"),
    [
        (Origin.LOCAL, ClosedLocally),
        (Origin.PEER, ClosedByPeer),
        (Origin.LOST, ConnectionLost),
    ],
)
def test_a_close_becomes_the_error_of_whoever_closed(
    origin: Origin, kind: type[ConnectionClosed]
) -> None:
    error = Close(4001, "bye", origin=origin).error()
    assert type(error) is kind
    assert (error.code, error.reason, error.reconnect) == (4001, "bye", True)


def test_a_reason_fits_into_a_close_frame() -> None:
    assert Close.checked(1000, "é" * 61, None).reason == "é" * 61
    with pytest.raises(ValueError, match="123 bytes"):
        Close.checked(1000, "é" * 62, None)


@pytest.mark.parametrize("reason", ["two\nlines", "nul\0", "esc\x1b[31m", "\ud800"])
def test_a_reason_has_no_control_characters(reason: str) -> None:
    with pytest.raises(ValueError, match=r"control characters|surrogates"):
        Close.checked(1000, reason, None)


def test_only_a_dropped_message_is_false() -> None:
    assert not Sent.DROPPED
    assert Sent.QUEUED
    assert Sent.SENT


def test_printable_keeps_what_can_be_printed() -> None:
    assert printable("plain, and ünïcödé") == "plain, and ünïcödé"
    assert printable("log\ninjection\x1b[0m") == "log\ufffdinjection\ufffd[0m"


@given(st.text(), st.integers(0, 200))
def test_printable_text_fits_and_prints(text: str, most: int) -> None:
    clean = printable(text, most)
    assert clean.isprintable()
    assert len(clean.encode()) <= most


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_what_printable_makes_can_be_a_close_reason(text: str) -> None:
    assert Close.checked(1000, printable(text), None).reason == printable(text)
