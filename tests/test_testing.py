"""What `unisock.testing` ships for tests of applications, and its suite on a small plugin."""

import subprocess
import sys
from typing import Any

import anyio
import pytest

from unisock import Server, Spark, hookimpl
from unisock.testing.peers import Refused
from unisock.testing.plugins import PluginSuite
from unisock.testing.running import Running, serving
from unisock.testing.wire import parse

pytest_plugins = ["pytester"]


def server_of_echoes(**settings: Any) -> Server:
    server = Server(adapter="memory", folder=None, **settings)

    @server.on_message
    def echo(spark: Spark, message: object) -> None:
        spark.send_nowait(message)

    return server


# Fixtures.


@pytest.mark.anyio
@pytest.mark.parametrize("adapter", ["memory", "websockets"])
async def test_the_fixture_runs_a_server(unisock_serve, adapter: str) -> None:
    running = await unisock_serve(server_of_echoes(), adapter=adapter)
    peer = await running.connect("/ws?name=ann")
    await peer.send('{"a": 1}')
    assert await peer.receive() == '{"a":1}'
    (spark,) = running.hub
    assert spark.handshake.query == {"name": "ann"}
    assert (await running.request("/nothing")).status == 404
    if adapter == "memory":
        assert running.in_memory
    else:
        assert running.url.startswith("ws://127.0.0.1:")
        assert running.http_url.startswith("http://127.0.0.1:")


@pytest.mark.anyio
async def test_the_fixture_runs_several_servers(unisock_serve) -> None:
    with anyio.fail_after(30):  # the servers outlive this scope
        one = await unisock_serve(server_of_echoes())
        two = await unisock_serve(server_of_echoes(), endpoints=[{"path": "/other"}])
    await one.connect()
    await two.connect("/other")
    assert len(one.hub) == len(two.hub) == 1


@pytest.mark.anyio
async def test_settings_of_one_test_do_not_reach_the_next(anyio_backend) -> None:
    server = server_of_echoes()
    async with serving(server, limits={"connections": 1}) as running:
        await running.connect()
        with pytest.raises(Refused) as caught:
            await running.connect()
        assert caught.value.status == 503
        assert caught.value.json["retry"] is True
    async with serving(server, adapter="memory") as running:
        await running.connect()
        await running.connect()


@pytest.mark.anyio
async def test_a_failed_assertion_comes_out_as_itself(anyio_backend) -> None:
    with pytest.raises(AssertionError, match="as itself"):
        async with serving(server_of_echoes()):
            raise AssertionError("as itself")


@pytest.mark.anyio
async def test_faults_for_an_applications_tests(unisock_serve) -> None:
    server = server_of_echoes(overflow="disconnect", limits={"outbox_messages": 5})
    running: Running = await unisock_serve(server)
    slow, lost = await running.connect(), await running.connect()
    slow.stop_reading()
    while not running.gateway.dropped:
        server.everyone.send_nowait("x" * 10_000)
    assert (await slow.wait_closed()).code in (4008, 1006)
    await lost.drop()
    await running.gateway.sparks.wait_empty()
    assert running.gateway.connections == []


def test_the_plugin_costs_no_import_of_a_driver() -> None:
    """pytest loads the plugin in every project that has unisock installed."""
    program = (
        "import sys, unisock.testing.fixtures\n"
        "heavy = {'websockets', 'httpx', 'trustme', 'trio', 'tornado', 'unisock.testing.running'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_unisock_does_not_import_its_tests() -> None:
    program = "import sys, unisock; print([m for m in sys.modules if m.startswith('unisock.te')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_fixture_works_without_a_websocket_library(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['websockets'] = None\n")
    pytester.makepyfile(
        """
        import pytest
        from unisock import Server

        @pytest.mark.anyio
        async def test_it(unisock_serve):
            server = Server(adapter="memory", folder=None)
            server.on_open(lambda spark: spark.send_nowait("welcome"))
            running = await unisock_serve(server)
            assert await (await running.connect()).receive() == '"welcome"'
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


# The suite for plugins.


class Attendance:
    """A plugin that keeps a number for each spark."""

    def __init__(self) -> None:
        self.seats: dict[Spark, int] = {}

    def sit(self, spark: Spark) -> None:
        self.seats[spark] = len(self.seats)

    @hookimpl
    def unisock_forget(self, spark: Spark) -> None:
        self.seats.pop(spark, None)


class TestPluginSuite(PluginSuite):
    plugin = Attendance

    async def use(self, plugin: Attendance, spark: Spark) -> None:
        plugin.sit(spark)

    def kept(self, plugin: Attendance) -> int:
        return len(plugin.seats)


# Plain HTTP.


@pytest.mark.anyio
async def test_a_drained_server_answers_nothing_more(unisock_serve) -> None:
    server = server_of_echoes()
    running = await unisock_serve(server)
    assert (await running.request("/ws")).status == 426
    await server.drain()
    await running.stopped.wait()
    for ask in (running.request("/ws"), running.connect()):
        with pytest.raises(ConnectionRefusedError):
            await ask


def test_a_chunked_answer_is_put_together() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert parse(data).body == b"abcde"


@pytest.mark.parametrize("data", [b"", b"garbage", b"SIP/2.0 200 OK\r\n\r\n"])
def test_what_is_no_http_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="no HTTP response"):
        parse(data)
