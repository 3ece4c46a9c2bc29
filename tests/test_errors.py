"""The errors: what they carry, and what else they are."""

import anyio
import pytest

from unisock import errors
from unisock.errors import (
    ClosedByPeer,
    ClosedLocally,
    ConfigError,
    ConnectionClosed,
    ConnectionLost,
    ConnectionRejected,
    DecodeError,
    HandshakeRejected,
    LimitExceeded,
    NotInstalled,
    ProtocolError,
    UnisockError,
    Unsupported,
)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_ours_and_stands_in_the_tree(name: str) -> None:
    assert issubclass(getattr(errors, name), UnisockError)
    assert errors.__doc__ is not None
    assert name in errors.__doc__


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (ClosedLocally, anyio.ClosedResourceError),
        (ClosedByPeer, anyio.EndOfStream),
        (ClosedByPeer, anyio.BrokenResourceError),
        (ConnectionLost, anyio.BrokenResourceError),
        (ConnectionRejected, anyio.BrokenResourceError),
    ],
)
def test_a_closed_connection_is_what_anyio_calls_it(
    kind: type[ConnectionClosed], also: type[Exception]
) -> None:
    with pytest.raises(also) as caught:
        raise kind(1001, "going away", reconnect=True)
    assert isinstance(caught.value, ConnectionClosed)
    assert (caught.value.code, caught.value.reason, caught.value.reconnect) == (
        1001,
        "going away",
        True,
    )
    assert str(caught.value) == "1001 going away"


def test_only_a_close_by_the_peer_ends_a_loop_over_a_stream() -> None:
    assert not issubclass(ClosedLocally, anyio.EndOfStream)
    assert not issubclass(ConnectionLost, anyio.EndOfStream)
    assert not issubclass(ConnectionRejected, anyio.EndOfStream)


def test_a_close_without_a_reason_reads_well() -> None:
    assert str(ClosedByPeer(1005, "", reconnect=True)) == "1005"


def test_config_errors_carry_their_facts() -> None:
    wrong = ConfigError("listen.port: no", key="listen.port", source="unisock.toml")
    assert (wrong.key, wrong.source) == ("listen.port", "unisock.toml")
    missing = NotInstalled("no such adapter", kind="adapter", name="x", installed=("memory",))
    assert (missing.kind, missing.name, missing.installed) == ("adapter", "x", ("memory",))
    unable = Unsupported("cannot", what="tls", who="memory")
    assert (unable.what, unable.who) == ("tls", "memory")
    assert isinstance(missing, ConfigError)
    assert isinstance(unable, ConfigError)


def test_a_refusal_needs_a_status_that_refuses() -> None:
    assert HandshakeRejected().status == 403
    assert HandshakeRejected("later", status=503, retry=True).retry
    for status in (200, 302, 399, 600, 0):
        with pytest.raises(ValueError, match="from 400 to 599"):
            HandshakeRejected(status=status)


def test_errors_of_the_peer_say_with_which_code_to_close() -> None:
    assert DecodeError("not JSON").code == 1007
    assert ProtocolError("bad frame").code == 1002
    limit = LimitExceeded("message_bytes", 1_048_576, code=1009)
    assert (limit.limit, limit.maximum, limit.code) == ("message_bytes", 1_048_576, 1009)
    assert str(limit) == "over the limit message_bytes = 1048576"
