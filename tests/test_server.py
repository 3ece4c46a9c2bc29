"""The server: its settings, its handlers, and how it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from unisock.abc import Gateway, Listener
from unisock.capabilities import Capabilities
from unisock.errors import ConfigError, Unsupported
from unisock.exchange import Request
from unisock.handshake import Address, Handshake
from unisock.hookspecs import hookimpl
from unisock.memory import MemoryAdapter
from unisock.server import Server

pytestmark = pytest.mark.anyio

Serving = Any


def make(**settings: Any) -> Server:
    return Server(
        folder=None,
        adapter=MemoryAdapter(),
        **{"endpoints": [{"path": "/ws", "codec": "raw"}], **settings},
    )


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


# Settings


def test_settings_are_read_once_and_again_when_they_change(tmp_path: Path) -> None:
    (tmp_path / "unisock.toml").write_text("[listen]\nport = 1")
    server = Server(folder=tmp_path)
    assert server.settings.listen.port == 1
    (tmp_path / "unisock.toml").write_text("[listen]\nport = 2")
    assert server.settings.listen.port == 1
    server.override("command line", {"listen": {"host": "::1"}})
    assert (server.settings.listen.port, server.settings.listen.host) == (2, "::1")
    server.override("command line", {})
    assert server.settings.listen.host == "127.0.0.1"


def test_nothing_is_checked_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "unisock.toml").write_text("adapter = 5")
    server = Server(folder=tmp_path, plugins=["nobody"])
    with pytest.raises(ConfigError, match="adapter"):
        _ = server.settings


def test_an_endpoint_of_the_code_is_completed_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "unisock.toml").write_text("[[endpoints]]\npath = '/a'\ncodec = 'raw'")
    server = Server(folder=tmp_path)
    server.endpoint("/a", dialect="plain")
    server.endpoint("/b")
    assert [(e.path, e.codec) for e in server.settings.endpoints] == [("/a", "raw"), ("/b", "json")]


def test_an_endpoint_may_be_declared_again() -> None:
    server = Server(folder=None, endpoints=[{"path": "/a", "codec": "raw"}])
    server.endpoint("/a", dialect="plain")
    server.endpoint("/a", subprotocols=["x"])
    [endpoint] = server.settings.endpoints
    assert (endpoint.codec, endpoint.subprotocols) == ("raw", ("x",))
    server.endpoint("/b", codek="raw")
    with pytest.raises(ConfigError, match=r"^endpoint\('/b'\): endpoints\[1\]\.codek: .*codec\?"):
        _ = server.settings


def test_the_default_endpoint() -> None:
    assert [endpoint.path for endpoint in Server(folder=None).settings.endpoints] == ["/ws"]


async def test_settings_cannot_change_while_it_runs() -> None:
    server = make()
    async with server:
        for change in (lambda: server.endpoint("/x"), lambda: server.override("x", {})):
            with pytest.raises(ConfigError, match="the server runs"):
                change()


def test_the_command_line_chooses_the_adapter_after_all() -> None:
    given = MemoryAdapter()
    server = Server(folder=None, adapter=given)
    assert server.adapter is given
    server.override("command line", {"adapter": "memory"})
    assert server.adapter is given
    server.override("command line", {"adapter": "memroy"})
    with pytest.raises(ConfigError, match="memory"):
        _ = server.adapter


class Counter:
    """A plugin that others may hold on to."""

    def __init__(self, start: int = 0) -> None:
        self.count = start


def test_a_plugin_in_the_applications_hands_stays_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unisock.plugins.look_up", lambda kind, name: Counter)
    server = Server(folder=None, plugins=["counter"], options={"counter": {"start": 3}})
    counter = server.plugin(Counter)
    assert counter.count == 3
    server.override("command line", {"listen": {"port": 0}})
    server.endpoint("/more")
    assert server.plugin(Counter) is counter
    server.override("command line", {"options": {"counter": {"start": 4}}})
    assert server.plugin(Counter).count == 4


# Handlers


async def test_handlers_of_an_endpoint_and_of_the_server(serving: Serving) -> None:
    server, log = make(), list[str]()
    server.on_open(lambda spark: log.append(f"open {spark.endpoint.path}"))
    server.on_message(lambda spark, text: log.append(f"general {text}"))
    own = server.endpoint("/own", codec="raw")
    own.on_message(lambda spark, text: log.append(f"own {text}"))
    assert server.endpoint("/own") is own
    async with serving(server) as memory:
        for path in ("/ws", "/own"):
            peer = await memory.connect(path)
            await peer.send("x")
    assert log == ["open /ws", "general x", "open /own", "own x"]


# Starting


async def test_serve_tells_where_it_listens() -> None:
    server = make()
    async with anyio.create_task_group() as group:
        addresses = await group.start(server.serve)
        assert addresses == (Address("memory"),)
        group.cancel_scope.cancel()


async def test_it_can_run_again(serving: Serving) -> None:
    server = make()
    server.on_message(lambda spark, text: spark.send(text))
    for _ in range(3):
        async with serving(server) as memory:
            peer = await memory.connect()
            await peer.send("x")
            assert await peer.receive() == "x"
        assert len(server.hub) == 0
        with pytest.raises(ConfigError, match="does not run"):
            _ = server.gateway


async def test_it_cannot_run_twice_at_once() -> None:
    server = make()
    async with server:
        with pytest.raises(ConfigError, match="runs already"):
            await server.serve()
        assert server.gateway is not None


async def test_an_application_may_mount_it() -> None:
    server, log = make(), list[str]()
    async with server as same:
        assert same is server
        response = await server.gateway.answer(Request(Handshake(target="/ws"), upgrade=False))
        assert getattr(response, "status", None) == 426
        done = anyio.Event()
        server.gateway.runtime.spawn(anyio.to_thread.run_sync, lambda: log.append("ran"))
        server.gateway.runtime.timers.call_later(0, done.set)
        with anyio.fail_after(30):
            await done.wait()
            await settle()


@pytest.mark.parametrize("wrong", [{"codec": "yaml"}, {"codek": "raw"}])
async def test_a_wrong_setting_comes_out_as_itself(wrong: dict[str, str]) -> None:
    server = make(endpoints=[{"path": "/ws", **wrong}])
    with pytest.raises(ConfigError, match=r"yaml|codek"):
        await server.serve()


class Failing(MemoryAdapter):
    """Fails before or after it listens."""

    name = "failing"

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self.after = after
        self.fail = anyio.Event()

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        async with anyio.create_task_group() as group:
            if self.after:
                task_status.started(await group.start(super().serve, gateway))
                await self.fail.wait()
                group.cancel_scope.cancel()
        raise OSError("the cable is out") from KeyError("cause")


@pytest.mark.parametrize("after", [False, True])
async def test_an_adapters_error_comes_out_as_itself(after: bool) -> None:
    adapter = Failing(after=after)
    server = Server(folder=None, adapter=adapter)

    async def fail_soon() -> None:
        await settle()
        adapter.fail.set()

    async with anyio.create_task_group() as group:
        group.start_soon(fail_soon)
        with pytest.raises(OSError, match="the cable is out") as caught:
            await server.serve()
        assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ConfigError, match="does not run"):
        _ = server.gateway


async def test_a_plugin_that_cannot_start_stops_the_start(serving: Serving) -> None:
    class Shy:
        ready = False

        @hookimpl
        def unisock_start(self, hub: Any) -> None:
            if not self.ready:
                raise PermissionError("not today")

    shy = Shy()
    server = make(plugins=[shy])
    with pytest.raises(PermissionError):
        await server.serve()
    shy.ready = True
    async with serving(server) as memory:
        assert (await memory.connect()).closed is None


async def test_an_adapter_for_another_loop_is_refused(anyio_backend_name: str) -> None:
    class Other(MemoryAdapter):
        name = "other"
        capabilities = Capabilities(
            backends=("trio" if anyio_backend_name == "asyncio" else "asyncio",), websocket=True
        )

    with pytest.raises(Unsupported, match=f"not on {anyio_backend_name}"):
        await Server(folder=None, adapter=Other()).serve()
