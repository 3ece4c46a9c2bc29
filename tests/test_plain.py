"""The plain dialect: a message is a payload, and nothing else."""

import pytest

from unisock.codecs import JsonCodec, MsgpackCodec
from unisock.errors import EncodeError
from unisock.messages import Close, Data, Event
from unisock.plain import PlainDialect


def test_a_payload_is_a_message() -> None:
    dialect = PlainDialect(JsonCodec())
    assert dialect.encode_data([1]) == dialect.encode(Data([1])) == "[1]"
    assert PlainDialect(MsgpackCodec()).encode_data([1]) == b"\x91\x01"


def test_it_has_no_form_for_anything_else() -> None:
    with pytest.raises(EncodeError, match="Event packets"):
        PlainDialect(JsonCodec()).encode(Event("x"))


def test_it_says_no_goodbye() -> None:
    assert PlainDialect(JsonCodec()).farewell(Close()) is None
