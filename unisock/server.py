"""What a user starts: an adapter, its endpoints, the plugins and the application's handlers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import anyio
import msgspec
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from . import launch
from .abc import Adapter, Listener
from .assembly import assemble, choose_adapter
from .assets import Asset
from .audience import Audience
from .config import Endpoint, Settings, Source, load, read_sources
from .errors import ConfigError
from .gateway import ServerGateway
from .handlers import EndpointHandlers
from .hub import Hub
from .messages import Close
from .pipeline import Transform
from .plugins import Plugins, Registered
from .runtime import TaskRuntime, running_backend, task_group
from .sockets import remove_stale
from .spark import Spark

__all__ = ["Server"]

PluginT = TypeVar("PluginT")


class Server(EndpointHandlers):
    """A real-time server. Whatever is not given here comes from ``unisock.toml``,
    ``[tool.unisock]``, ``UNISOCK_*`` and the command line; see `unisock.config`.

    :param plugins: plugin objects, or names of installed ones
    :param adapter: an adapter's name, or an adapter
    :param folder: where the configuration files are; the working directory unless given; `None`
        reads neither files nor environment
    :param settings: any field of `Settings`
    :raises ConfigError: a setting is no value that a configuration can have; whatever else may be
        wrong is found when the server starts
    """

    def __init__(
        self,
        *,
        plugins: Sequence[object | str] = (),
        adapter: str | Adapter | None = None,
        folder: Path | str | None = ".",
        **settings: Any,
    ) -> None:
        super().__init__()
        self.hub = Hub()
        self._plugin_objects = [plugin for plugin in plugins if not isinstance(plugin, str)]
        self._plugin_names = tuple(plugin for plugin in plugins if isinstance(plugin, str))
        self._given_adapter = adapter if isinstance(adapter, Adapter) else None
        self._adapter: Adapter | None = None
        if self._given_adapter is not None:
            settings["adapter"] = self._given_adapter.name
        elif adapter is not None:
            settings["adapter"] = adapter
        self._folder = None if folder is None else Path(folder)
        self._arguments = _builtins(settings)
        self._made_plugins: dict[str, tuple[Mapping[str, Any], object]] = {}
        self._overrides: list[Source] = []
        self._endpoints: dict[str, EndpointHandlers] = {}
        self._declared: list[dict[str, Any]] = []
        self._registered = Registered()
        self._assets: dict[str, Asset] = {}
        self._settings: Settings | None = None
        self._plugins: Plugins | None = None
        self._gateway: ServerGateway | None = None
        self._listener: Listener | None = None
        self._stack: AsyncExitStack | None = None
        self._drained = anyio.Event()
        self._processes = 1

    # Declaring.

    def endpoint(self, path: str, **settings: Any) -> EndpointHandlers:
        """An endpoint with handlers of its own, where the server's are only what it lacks.

        :param settings: any field of `Endpoint`; the configuration files fill in the others
        """
        self._forget_settings()
        self._declared.append({"path": path, **_builtins(settings)})
        return self._endpoints.setdefault(path, EndpointHandlers())

    def incoming(self, transform: Transform) -> Transform:
        """Pass each payload from a client through ``transform(spark, payload)``; see `Register`."""
        self._registered.incoming(transform)
        return transform

    def outgoing(self, transform: Transform) -> Transform:
        """Pass each payload to a client through ``transform(spark, payload)``; see `Register`."""
        self._registered.outgoing(transform)
        return transform

    def asset(
        self, path: str, body: bytes | str, content_type: str = "text/html; charset=utf-8"
    ) -> None:
        """Hand out a document at this path: the application's page, a script. On every adapter.

        :param body: held in memory; text goes out as UTF-8
        :raises ConfigError: the path does not begin with a slash
        """
        if not path.startswith("/"):
            raise ConfigError(f"asset {path!r}: a path begins with /", key="asset")
        self._assets[path] = Asset(body.encode() if isinstance(body, str) else body, content_type)

    def override(self, source: str, settings: Mapping[str, Any]) -> None:
        """Put settings above all others, as the command line does.

        :param source: its name in errors; what it had put there before is gone
        """
        self._forget_settings()
        self._overrides = [(name, own) for name, own in self._overrides if name != source]
        self._overrides.append((source, settings))

    # Asking.

    @property
    def sources(self) -> list[Source]:
        """Where the settings come from, in rising order, each with what it says.

        :raises ConfigError: a file or a variable cannot be read
        """
        files = [] if self._folder is None else read_sources(self._folder)
        declared = [(f"endpoint({own['path']!r})", {"endpoints": [own]}) for own in self._declared]
        return [*files, ("Server(…)", self._arguments), *declared, *self._overrides]

    @property
    def settings(self) -> Settings:
        """The settings in force.

        :raises ConfigError: one is wrong
        """
        if self._settings is None:
            settings = load(self.sources)
            if not settings.endpoints:
                settings = msgspec.structs.replace(settings, endpoints=(Endpoint(path="/ws"),))
            self._settings = settings
        return self._settings

    @property
    def everyone(self) -> Audience:
        """All live sparks, read anew at each send."""
        return self.hub

    @property
    def adapter(self) -> Adapter:
        """The adapter in use.

        :raises ConfigError: it is not installed, or does not take its options
        """
        if self._adapter is None:
            self._adapter = choose_adapter(self.settings, self._given_adapter)
        return self._adapter

    @property
    def plugins(self) -> Plugins:
        """The plugins in use.

        :raises ConfigError: one is not installed, or does not take its options
        """
        if self._plugins is None:
            names = dict.fromkeys((*self._plugin_names, *self.settings.plugins))
            self._plugins = Plugins(
                self._plugin_objects, names, self.settings.options, self._made_plugins
            )
        return self._plugins

    def plugin(self, kind: type[PluginT]) -> PluginT:
        """The plugin of this class, wherever it came from.

        :raises ConfigError: there is none
        """
        return self.plugins.find(kind)

    @property
    def gateway(self) -> ServerGateway:
        """The running server as an adapter sees it; for mounting one into an application.

        :raises ConfigError: the server does not run
        """
        if self._gateway is None:
            raise ConfigError("the server does not run: use `async with server:` or `serve()`")
        return self._gateway

    # Running.

    async def __aenter__(self) -> Server:
        """Start without listening, for an application that mounts an adapter itself."""
        if self._stack is not None:
            raise ConfigError("this server runs already")
        gateway = self.check(running_backend(), processes=self._processes)
        async with AsyncExitStack() as stack:
            runtime = gateway.runtime
            assert isinstance(runtime, TaskRuntime)
            await stack.enter_async_context(runtime.running())
            gateway.plugins.hook.unisock_start(hub=self.hub, runtime=runtime)
            self._gateway = gateway
            self._drained = anyio.Event()
            stack.push_async_exit(self._leave)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        stack, plugins = self._stack, self.gateway.plugins
        assert stack is not None
        try:
            return await stack.__aexit__(kind, error, traceback)
        finally:
            self._gateway = self._listener = self._stack = None
            plugins.tell("unisock_stop")

    async def _leave(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """The way out, before tasks and timers stop."""
        try:
            if error is None and not self._drained.is_set():
                await self.drain()
        finally:
            for connection in self.gateway.connections:
                connection.fail(Close(1001, "server is gone"))
            with anyio.move_on_after(1, shield=True):  # drivers may take a moment to notice
                for connection in self.gateway.connections:
                    await connection.wait_closed()

    def check(self, backend: str | None = None, *, processes: int = 1) -> ServerGateway:
        """Build everything that the settings ask for, without serving.

        :param backend: the event loop it is to run on; the one of the settings unless given
        :param processes: how many processes are to share the address
        :raises ConfigError: something is wrong
        """
        settings = self.settings
        return assemble(
            msgspec.structs.replace(settings, backend=backend or settings.backend),
            adapter=self.adapter,
            runtime=TaskRuntime(),
            hub=self.hub,
            plugins=self.plugins,
            registered=self._registered,
            defaults=self.handlers,
            endpoints={path: own.handlers for path, own in self._endpoints.items()},
            assets=self._assets,
            processes=processes,
        )

    async def serve(
        self,
        *,
        sockets: Sequence[socket.socket] | None = None,
        processes: int = 1,
        task_status: TaskStatus[tuple[Any, ...]] = TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and serve until `drain` has ended, or until cancelled. This is one process,
        whatever `workers` says.

        :param sockets: non-blocking, bound ones to serve on in place of the configured addresses;
            it closes them
        :param processes: how many processes share these
        :param task_status: told the bound addresses, when connections are accepted
        :raises ConfigError: a setting is wrong, or an address cannot be bound
        """
        self._processes = processes
        async with self, task_group() as group:
            self.gateway.bound = sockets
            self._listener = await group.start(self._serve_adapter)
            assert self._listener is not None
            task_status.started(self._listener.addresses)
            await self._drained.wait()
            group.cancel_scope.cancel()

    async def _serve_adapter(self, *, task_status: TaskStatus[Listener]) -> None:
        try:
            await self.adapter.serve(self.gateway, task_status=task_status)
        finally:
            if self.settings.listen.unix is not None and self.gateway.bound is None:
                remove_stale(self.settings.listen.unix)

    async def drain(self, deadline: float | None = None) -> None:
        """Stop: accept nobody more, tell every client to come back elsewhere, wait until they have
        gone and their close handlers have ended, and cut off those that are left at the deadline.

        :param deadline: in seconds; ``drain_seconds`` of the settings unless given
        """
        gateway = self.gateway
        gateway.draining = True
        if self._listener is not None:
            self._listener.close()
        deadline = self.settings.drain_seconds if deadline is None else deadline
        with anyio.move_on_after(deadline):
            await self._say_goodbye(min(deadline / 2, len(gateway.connections) / 5000))
            for connection in gateway.connections:
                await connection.wait_closed()
            await gateway.sparks.wait_empty()
        for connection in gateway.connections:
            connection.fail(Close(1012, "server is restarting"))
        self._drained.set()

    async def _say_goodbye(self, seconds: float) -> None:
        """Close every spark, then whatever is open without one, spread over some time: thousands
        that come back at the same instant would be the next server's first trouble.
        """
        sparks: Iterable[Spark] = [*self.hub]
        pause = seconds / max(1, len(self.hub) // 100)
        for number, spark in enumerate(sparks):
            spark.close_nowait(1012, "server is restarting", reconnect=True)
            if pause and number % 100 == 99:
                await anyio.sleep(pause)
        for connection in self.gateway.connections:
            connection.close(Close(1012, "server is restarting", reconnect=True))

    def run(self, argv: Sequence[str] | None = None) -> None:
        """Serve until SIGINT or SIGTERM, then drain; a second signal stops at once.

        :param argv: command-line arguments (``--adapter``, ``--host``, ``--port``, …); those of the
            process unless given, none with ``()``
        """
        launch.run(self, argv)

    def _forget_settings(self) -> None:
        if self._gateway is not None:
            raise ConfigError("the server runs; settings cannot change any more")
        self._settings = self._plugins = self._adapter = None


def _builtins(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a configuration file would have them."""
    plain: dict[str, Any] = {}
    for key, value in settings.items():
        try:
            # A path object becomes text; any other stranger is a TypeError.
            plain[key] = msgspec.to_builtins(value, enc_hook=os.fspath)
        except TypeError as error:
            raise ConfigError(f"{key}: {error}", key=key, source="Server(…)") from error
    return plain
