"""The plugins of one server: which hooks are called, when, and in which order."""

from __future__ import annotations

import inspect
from typing import Any

import anyio
import pytest

from unisock import hookspecs
from unisock.errors import ConfigError, NotInstalled
from unisock.hookspecs import Register, hookimpl
from unisock.memory import MemoryAdapter, Refused
from unisock.messages import Ack, Event, Packet
from unisock.pipeline import DROP
from unisock.plugins import Plugins
from unisock.server import Server
from unisock.spark import Spark

pytestmark = pytest.mark.anyio

Serving = Any
HOOKS = [name for name in vars(hookspecs) if name.startswith("unisock_")]


class Recorder:
    """Implements every hook."""

    def __init__(self, name: str = "", log: list[Any] | None = None) -> None:
        self.name = name
        self.log: list[Any] = [] if log is None else log

    def note(self, what: str, *facts: Any) -> None:
        self.log.append(" ".join([f"{self.name}{what}", *map(str, facts)]))

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        self.note("configure")

    @hookimpl
    def unisock_per_process(self) -> str | None:
        return self.name or None

    @hookimpl
    def unisock_start(self, hub: Any, runtime: Any) -> None:
        self.note("start", len(hub))
        runtime.spawn(anyio.sleep_forever)

    @hookimpl
    def unisock_stop(self) -> None:
        self.note("stop")

    @hookimpl
    def unisock_open(self, spark: Spark) -> None:
        self.note("open", spark.closed)

    @hookimpl
    def unisock_close(self, spark: Spark, close: Any) -> None:
        self.note("close", close.code)

    @hookimpl
    def unisock_forget(self, spark: Spark) -> None:
        self.note("forget")

    @hookimpl
    def unisock_interrupt(self, spark: Spark, close: Any) -> None:
        self.note("interrupt", close.code)

    @hookimpl
    def unisock_resume(self, spark: Spark) -> None:
        self.note("resume", spark.closed)

    @hookimpl
    def unisock_error(self, spark: Spark, error: Exception) -> None:
        self.note("error", error)

    @hookimpl
    def unisock_refused(self, handshake: Any, rejection: Any) -> None:
        self.note("refused", rejection.status)


def make(*plugins: object, **settings: Any) -> Server:
    server = Server(
        folder=None,
        adapter=MemoryAdapter(),
        plugins=plugins,
        **{"endpoints": [{"path": "/ws", "codec": "raw"}], **settings},
    )
    server.on_message(lambda spark, message: None)
    return server


def test_every_hook_is_documented_and_tried_here() -> None:
    assert {name for name in vars(Recorder) if name.startswith("unisock_")} == {*HOOKS}
    for name in HOOKS:
        assert inspect.getdoc(getattr(hookspecs, name))


def test_what_is_in_one_process_is_told_in_order() -> None:
    server = make(Recorder("a"), Recorder(), Recorder("b"))
    assert server.check(processes=2).per_process == ["a", "b"]


async def test_the_hooks_of_a_life(serving: Serving) -> None:
    recorder = Recorder()
    server, log = make(recorder), recorder.log
    server.on_open(lambda spark: log.append("on_open"))
    server.on_close(lambda spark, close: log.append("on_close"))
    server.authorize(lambda handshake: handshake.query.get("key") == "1")
    async with serving(server) as memory:
        with pytest.raises(Refused):
            await memory.connect("/ws")
        peer = await memory.connect("/ws?key=1")
        await peer.close(4000)
        await anyio.wait_all_tasks_blocked()
    assert log == [
        "configure",
        "start 0",
        "refused 403",
        "open None",
        "on_open",
        "close 4000",
        "on_close",
        "forget",
        "stop",
    ]


async def test_a_plugin_hears_of_errors_before_the_application(serving: Serving) -> None:
    recorder = Recorder()
    server = make(recorder, endpoints=[{"path": "/ws", "codec": "json"}])
    server.on_error(lambda spark, error: recorder.log.append("on_error"))
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("{")
        await peer.wait_closed()
    heard = [line.split()[0] for line in recorder.log]
    assert heard[heard.index("error") :][:2] == ["error", "on_error"]


async def test_hooks_are_called_in_the_order_of_the_plugins(serving: Serving) -> None:
    log: list[Any] = []
    async with serving(make(Recorder("a ", log), Recorder("b ", log))) as memory:
        peer = await memory.connect()
        await peer.close()
    assert log[0::2] == [line.replace("b ", "a ") for line in log[1::2]]
    assert all(line.startswith("a ") for line in log[0::2])


async def test_to_forget_comes_after_an_async_on_close(serving: Serving) -> None:
    recorder, gate = Recorder(), anyio.Event()
    server = make(recorder)

    @server.on_close
    async def leave(spark: Spark, close: Any) -> None:
        await gate.wait()
        recorder.log.append("on_close")

    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.close()
        await anyio.wait_all_tasks_blocked()
        assert recorder.log[-1] == "close 1000"
        gate.set()
        await anyio.wait_all_tasks_blocked()
    assert recorder.log[-3:] == ["on_close", "forget", "stop"]


@pytest.mark.parametrize("hook", ["open", "close", "forget", "error", "refused"])
async def test_a_plugins_failure_is_not_the_clients(
    serving: Serving, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Recorder):
        def note(self, what: str, *facts: Any) -> None:
            if what == hook:
                raise ZeroDivisionError(hook)

    server = make(Broken(), endpoints=[{"path": "/ws", "codec": "json"}])
    heard: list[Any] = []
    server.on_error(lambda spark, error: heard.append("error"))
    server.on_close(lambda spark, close: heard.append("close"))
    server.authorize(lambda handshake: "key" in handshake.query)
    async with serving(server) as memory:
        with pytest.raises(Refused) as refused:
            await memory.connect("/ws")
        assert refused.value.status == 403
        peer = await memory.connect("/ws?key")
        await peer.send("{")
        assert (await peer.wait_closed()).code == 1007
        await server.gateway.sparks.wait_empty()
    assert heard == ["error", "close"]
    assert f"exception in a plugin's unisock_{hook}" in caplog.text


# What plugins register


class Lab:
    """Registers whatever it is given."""

    def __init__(self, *calls: tuple[str, Any]) -> None:
        self.calls = calls

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        for name, args in self.calls:
            getattr(register, name)(*args)


async def test_transforms_of_the_application_come_before_those_of_plugins(
    serving: Serving,
) -> None:
    server = make(
        Lab(
            ("incoming", [lambda spark, text: f"{text} b"]),
            ("outgoing", [lambda spark, text: DROP if "secret" in text else f"{text} d"]),
        ),
    )
    server.incoming(lambda spark, text: f"{text} a")
    server.outgoing(lambda spark, text: f"{text} c")
    server.endpoint("/echo", codec="raw").on_message(lambda spark, text: spark.send(text))
    async with serving(server) as memory:
        peer = await memory.connect("/echo")
        await peer.send("secret")
        await peer.send("x")
        assert await peer.receive() == "x a b c d"


class Unwanted(Packet, frozen=True):
    """Nobody takes it, and nobody minds."""


async def test_a_plugin_takes_packets_of_its_kind(serving: Serving) -> None:
    got: list[Any] = []

    async def later(spark: Spark, packet: Ack) -> None:
        await anyio.lowlevel.checkpoint()
        got.append(packet)

    server = make(
        Lab(("packet", (Event, lambda spark, packet: got.append(packet))), ("packet", (Ack, later)))
    )
    async with serving(server) as memory:
        await memory.connect()
        [spark] = server.hub
        for packet in (Event("one"), Ack(2), Event("three"), Unwanted()):
            spark.on_packet(packet)
        await anyio.wait_all_tasks_blocked()
    assert got == [Event("one"), Ack(2), Event("three")]


def test_two_plugins_cannot_take_the_same_packets() -> None:
    def take(spark: Spark, packet: Event) -> None: ...

    server = make(Lab(("packet", (Event, take))), Lab(("packet", (Event, take))))
    with pytest.raises(ConfigError, match="two plugins want the Event packets"):
        server.check()


# Looking plugins up


def test_a_plugin_is_found_by_its_class() -> None:
    class Special(Recorder):
        pass

    recorder = Special()
    server = make(recorder)
    assert server.plugin(Recorder) is server.plugin(Special) is recorder
    with pytest.raises(ConfigError, match=r"no Lab plugin: .*Server\(plugins=\[…\]\)"):
        server.plugin(Lab)


def test_a_plugin_by_name_is_the_one_that_was_made_in_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unisock.plugins.look_up", lambda kind, name: Recorder)
    recorder = Recorder()
    assert make(recorder, "recorder").plugin(Recorder) is recorder
    server = make(recorder, "recorder", options={"recorder": {"name": "x"}})
    with pytest.raises(ConfigError, match=r"options\.recorder: .*made in code"):
        server.plugin(Recorder)


def test_two_servers_share_nothing() -> None:
    one, two = make(Recorder()), make(Recorder())
    assert one.plugin(Recorder) is not two.plugin(Recorder)
    one.check()
    assert one.plugin(Recorder).log == ["configure"]
    assert two.plugin(Recorder).log == []


def test_a_plugin_that_nobody_installed() -> None:
    with pytest.raises(NotInstalled, match="plugin 'room' "):
        Server(folder=None, plugins=["room"]).check()


class Typo:
    @hookimpl
    def unisock_opne(self, spark: Spark) -> None: ...


class Argument:
    @hookimpl
    def unisock_open(self, client: Spark) -> None: ...


class Forgotten:
    def unisock_open(self, spark: Spark) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (Typo(), r"plugin Typo: .*unisock_opne"),
        (Argument(), r"plugin Argument: .*client"),
        (Forgotten(), r"plugin Forgotten: unisock_open .*@unisock\.hookimpl"),
        (Recorder, r"plugin Recorder: pass Recorder\(\), not the class"),
    ],
)
def test_a_plugin_that_is_none_is_told_why(plugin: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Plugins([plugin])
    assert "\n" not in str(caught.value)


def test_the_same_plugin_twice_is_refused() -> None:
    recorder = Recorder()
    with pytest.raises(ConfigError, match="plugin Recorder"):
        Plugins([recorder, recorder])


def test_which_hooks_anybody_implements() -> None:
    plugins = Plugins([Lab()])
    assert plugins.implements("unisock_configure")
    assert not plugins.implements("unisock_open")


def test_one_plugins_failure_is_not_the_others(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Plugin:
        def __init__(self, name: str, fails: bool = False) -> None:
            self.name = name
            self.fails = fails

        @hookimpl
        def unisock_stop(self) -> None:
            heard.append(self.name)
            if self.fails:
                raise RuntimeError("no")

    plugins = Plugins([Plugin("one"), Plugin("two", fails=True), Plugin("three")])
    plugins.tell("unisock_stop")
    assert heard == ["one", "two", "three"]
    assert "exception in a plugin's unisock_stop" in caplog.text
