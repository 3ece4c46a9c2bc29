"""What uvicorn makes of frames that are wrong, or come in an awkward order."""

import logging
from collections.abc import AsyncGenerator, Generator

import anyio
import pytest

from unisock import Origin, Server, Spark
from unisock.testing.conformance.base import Watch
from unisock.testing.running import serving
from unisock.testing.websocket import WebSocketPeer, frame

pytestmark = pytest.mark.anyio

BAD, CLOSE = b"\xce\xba\xff", frame(8, b"\x03\xe8")
BAD_TEXTS = {
    "a close behind it": [frame(1, BAD) + CLOSE],  # which is not answered in its place
    "in the first fragment": [frame(1, BAD, fin=False)],  # nobody waits for the rest of it
    "in a later fragment": [frame(1, b"\xce", fin=False), frame(0, b"\xff", fin=False)],
    "without its end": [frame(1, b"\xce", fin=False) + frame(0, b"")],
}
FAULTS = {
    "no UTF-8": frame(1, b"\xff"),
    "a reserved bit": frame(1, b"{}", reserved=2),
    "a reserved opcode": frame(5, b""),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def heard() -> list[object]:
    return []


@pytest.fixture
def server(heard: list[object]) -> Server:
    server = Server(adapter="asgi", folder=None, endpoints=[{"path": "/ws"}])

    @server.on_message
    def answer(spark: Spark, message: object) -> None:
        heard.append(message)
        spark.send_nowait(message)

    return server


@pytest.fixture
def watch(server: Server) -> Watch:
    return Watch(server)


@pytest.fixture
async def peer(server: Server, watch: Watch) -> AsyncGenerator[WebSocketPeer]:
    with anyio.fail_after(30):
        async with serving(server) as running:
            peer = await running.connect("/ws", kind="websocket")
            assert isinstance(peer, WebSocketPeer)
            yield peer


@pytest.fixture
def silence(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """Nothing that a client does is an error in the log."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("sent", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
async def test_text_is_checked_as_it_comes(peer: WebSocketPeer, sent: list[bytes]) -> None:
    for piece in sent:
        await peer.send_raw(piece)
    assert (await peer.wait_closed()).code == 1007


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_what_comes_before_a_fault_is_heard(
    peer: WebSocketPeer, watch: Watch, heard: list[object], fault: bytes
) -> None:
    await peer.send_raw(frame(1, b"1") + frame(9, b"ping") + frame(1, b"2") + fault)
    close = await peer.wait_closed()
    assert close.code in (1002, 1007)
    assert (await watch.end()).code == close.code
    assert heard == [1, 2]


async def test_letters_may_be_cut_by_fragments(peer: WebSocketPeer) -> None:
    first, *letters, last = '"κόσμε 😀"'.encode()
    await peer.send_raw(frame(1, bytes([first]), fin=False))
    for letter in letters:
        await peer.send_raw(frame(0, bytes([letter]), fin=False) + frame(9, b"meanwhile"))
    await peer.send_raw(frame(0, bytes([last])))
    assert await peer.receive() == '"κόσμε 😀"'


@pytest.mark.usefixtures("silence")
async def test_a_close_amid_fragments_is_a_close(peer: WebSocketPeer, watch: Watch) -> None:
    await peer.send_raw(frame(1, b'"half', fin=False) + CLOSE)
    assert (await peer.wait_closed()).code == 1000
    close = await watch.end()
    assert (close.code, close.origin) == (1000, Origin.PEER)
