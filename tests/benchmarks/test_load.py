"""Both loads do the same: with a server that echoes bytes, and one that misbehaves."""

import math
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from .load import Load, LoadError, PythonLoad, Step
from .native import HERE, NativeLoad, compiled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capability: epoll is Linux's")

Reply = Callable[[bytes], bytes]


def make(name: str) -> Load:
    if name == "Python":
        return PythonLoad()
    library = compiled(HERE / "load.c", "-shared", "-fPIC")
    if library is None:
        pytest.skip("capability: there is no C compiler")
    return NativeLoad(library)


@pytest.fixture(params=["Python", "C"])
def load(request: pytest.FixtureRequest) -> Load:
    return make(request.param)


@contextmanager
def echoing(reply: Reply = bytes) -> Iterator[int]:
    """A server that answers what it gets; it hangs up when there is no answer, and after ``bye``.
    Its port.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    poll = selectors.DefaultSelector()
    poll.register(listener, selectors.EVENT_READ)
    stop, stopped = socket.socketpair()
    poll.register(stopped, selectors.EVENT_READ)

    def serve() -> None:
        while True:
            for key, _ in poll.select():
                if key.fileobj is stopped:
                    return
                if key.fileobj is listener:
                    poll.register(listener.accept()[0], selectors.EVENT_READ)
                    continue
                client = key.fileobj
                assert isinstance(client, socket.socket)
                data = client.recv(65536)
                answer = reply(data) if data and not data.endswith(b"bye") else b""
                if answer:
                    client.sendall(answer)
                else:
                    poll.unregister(client)
                    client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.close()
        thread.join()
        for key in [*poll.get_map().values()]:
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        poll.close()


@contextmanager
def clients(port: int, number: int) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(number)]
    for client in opened:
        client.setblocking(False)
    try:
        yield opened
    finally:
        for client in opened:
            client.close()


class Tired:
    """Answers a few times, and then hangs up."""

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self, data: bytes) -> bytes:
        self.answers += 1
        return data if self.answers < 10 else b""


def test_closed_counts_answers(load: Load) -> None:
    with echoing() as port, clients(port, 3) as opened:
        # The time is over at once: what is under way is waited for, and no more is sent.
        assert load.closed(opened, b"hello", 4, 5, 0) == 12


def test_closed_sends_for_each_answer(load: Load) -> None:
    tired = Tired()
    with echoing(tired) as port, clients(port, 1) as opened, pytest.raises(LoadError, match="up"):
        load.closed(opened, b"hello", 1, 5, math.inf)
    assert tired.answers == 10


def test_closed_puts_split_answers_together(load: Load) -> None:
    with echoing() as port, clients(port, 1) as opened:
        # Larger than one read, and than the socket's buffers.
        assert load.closed(opened, b"x" * 3_000_000, 1, 3_000_000, 0) == 1


def test_lockstep_goes_on_when_all_has_come(load: Load) -> None:
    with echoing() as port, clients(port, 3) as opened:
        sources = [(opened[0], b"ab"), (opened[2], b"cdef")]
        assert load.lockstep(sources, opened, 6, 0) == 1
    tired = Tired()
    with echoing(tired) as port, clients(port, 1) as opened, pytest.raises(LoadError, match="up"):
        load.lockstep([(opened[0], b"ab")], opened, 2, math.inf)
    assert tired.answers == 10


def test_lockstep_sees_a_surplus(load: Load) -> None:
    with (
        echoing(lambda data: data + b"!") as port,
        clients(port, 1) as opened,
        pytest.raises(LoadError, match="more came"),
    ):
        load.lockstep([(opened[0], b"ab")], opened, 2, 0)


def test_who_hangs_up_is_found_out(load: Load) -> None:
    with (
        echoing() as port,
        clients(port, 1) as opened,
        pytest.raises(LoadError, match="hung up"),
    ):
        load.closed(opened, b"bye", 1, 3, 0)


def test_paced_sends_as_many_as_were_planned(load: Load) -> None:
    with echoing() as port, clients(port, 3) as opened:
        trips = load.paced(opened, b"hello", 5, 1000, time.perf_counter() + 0.1)
        assert 1 <= len(trips) <= 101
        assert all(trip > 0 for trip in trips)


def test_churn_counts_visitors_who_take_all_their_steps(load: Load) -> None:
    steps = [Step(b"hello there", b"th"), Step(b"", b"re"), Step(b"and", b"and"), Step(b"bye")]
    with echoing() as port:
        assert load.churn(port, steps, 4, 0) == 4


def test_a_visitor_is_turned_away(load: Load) -> None:
    with echoing() as port, pytest.raises(LoadError, match="too early"):
        load.churn(port, [Step(b"bye", b"welcome"), Step(b"bye")], 2, 0)
