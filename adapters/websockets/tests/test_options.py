"""The options of the adapter."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import Server
from unisock.errors import ConfigError
from unisock_websockets import WebsocketsAdapter
from unisock_websockets.options import Options, read_options


def test_the_defaults() -> None:
    assert read_options(None) == read_options({}) == Options()
    assert not Options().compression


def test_text_is_taken_as_the_environment_has_no_other() -> None:
    table = {"compression": "true", "handshakes": "7"}
    assert read_options(table) == Options(compression=True, handshakes=7)


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ({"compresion": True}, "options.websockets", "compresion"),
        ({"compression": "very"}, "options.websockets.compression", "bool"),
        ({"handshakes": 0}, "options.websockets.handshakes", ">= 1"),
        ({"handshakes": 1.5}, "options.websockets.handshakes", "int"),
    ],
)
def test_a_wrong_option_is_named(table: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WebsocketsAdapter(table)
    assert caught.value.key == key
    assert words in str(caught.value)
    assert "compression, handshakes" in str(caught.value)


def test_options_come_from_the_configuration() -> None:
    server = Server(
        adapter="websockets", folder=None, options={"websockets": {"compression": "perhaps"}}
    )
    with pytest.raises(ConfigError, match=r"options\.websockets\.compression"):
        server.check()
