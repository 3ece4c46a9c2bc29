"""Binding addresses."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from unisock.config import Listen
from unisock.errors import ConfigError
from unisock.handshake import Address
from unisock.sockets import address_of, bind, peer_address


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for bound in sockets:
        bound.close()


def reachable(bound: socket.socket) -> bool:
    with closing(socket.socket(bound.family, socket.SOCK_STREAM)) as client:
        client.settimeout(5)
        client.connect(bound.getsockname())
        return True


def test_a_free_port(opened: list[socket.socket]) -> None:
    opened += bind(Listen(port=0))
    [bound] = opened
    address = address_of(bound)
    assert address.host == "127.0.0.1"
    assert address.port > 0
    assert not bound.getblocking()
    assert reachable(bound)


def test_every_address_of_a_name_shares_the_port(opened: list[socket.socket]) -> None:
    opened += bind(Listen(host="localhost", port=0))
    assert opened
    assert len({address_of(bound).port for bound in opened}) == 1
    assert all(map(reachable, opened))


def test_ipv6_leaves_ipv4_alone(opened: list[socket.socket]) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("capability: IPv6 on this machine")
    opened += bind(Listen(host="::1", port=0))
    address = address_of(opened[0])
    assert str(address) == f"[::1]:{address.port}"
    opened += bind(Listen(host="127.0.0.1", port=address.port))
    assert all(map(reachable, opened))


def test_an_address_in_use_says_what_to_do(opened: list[socket.socket]) -> None:
    opened += bind(Listen(port=0))
    port = address_of(opened[0]).port
    with pytest.raises(ConfigError) as caught:
        bind(Listen(port=port))
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with --port, or 0 for a free one"
    )
    assert caught.value.key == "listen.port"


def test_an_address_of_another_machine_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"203\.0\.113\.1.*--host") as caught:
        bind(Listen(host="203.0.113.1", port=0))
    assert caught.value.key == "listen.host"


@pytest.mark.parametrize("host", ["no such host", "x" * 70 + ".example", "nul\0"])
def test_a_host_that_is_none_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match=r"listen\.host: ") as caught:
        bind(Listen(host=host, port=0))
    assert caught.value.key == "listen.host"


def test_addresses_that_the_machine_lacks_are_left_out(
    opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without IPv6, where localhost is ::1 all the same."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    opened += bind(Listen(host="localhost", port=0))
    assert [address_of(bound).host for bound in opened] == ["127.0.0.1"]


# Unix sockets


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # socket paths must be short
    return "s.sock"


def test_a_unix_socket(path: str, opened: list[socket.socket]) -> None:
    opened += bind(Listen(unix=path))
    assert address_of(opened[0]) == Address(path)
    assert reachable(opened[0])


def test_what_a_dead_server_left_is_replaced(path: str, opened: list[socket.socket]) -> None:
    for dead in bind(Listen(unix=path)):
        dead.close()
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    opened += bind(Listen(unix=path))
    assert reachable(opened[0])


@pytest.mark.parametrize("backlog", [100, 0])
def test_a_live_server_is_left_alone(path: str, backlog: int, opened: list[socket.socket]) -> None:
    opened += bind(Listen(unix=path, backlog=backlog))
    for _ in range(3 if not backlog else 0):  # a crowd at the door
        crowd = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.append(crowd)
        crowd.setblocking(False)
        crowd.connect_ex(path)
    with pytest.raises(ConfigError, match=r"listen\.unix: s\.sock: Address already in use"):
        bind(Listen(unix=path))
    assert os.path.exists(path)


def test_any_other_file_is_left_alone(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(ConfigError, match="Address already in use"):
        bind(Listen(unix=path))
    assert Path(path).read_text() == "precious"


@pytest.mark.parametrize("bad", ["no/such/folder/s", "x" * 200])
@pytest.mark.usefixtures("path")
def test_a_path_that_is_none_is_named(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"listen\.unix: ") as caught:
        bind(Listen(unix=bad))
    assert caught.value.key == "listen.unix"


def test_the_other_end() -> None:
    assert peer_address(("1.2.3.4", 5)) == Address("1.2.3.4", 5)
    assert peer_address(("::1", 5, 0, 0)) == Address("::1", 5)
    for unnamed in ("", b"", None):
        assert peer_address(unnamed) == Address("unix")
