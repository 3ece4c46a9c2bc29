"""Starting a server as a process: command-line options, the loop, signals, what is printed."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NoReturn, Protocol

import anyio
from anyio.abc import TaskStatus

from .abc import Adapter
from .config import Settings
from .errors import ConfigError
from .handshake import Address

__all__ = ["EXIT_CONFIG", "Servable", "describe", "overrides", "run"]

EXIT_CONFIG = 2
"""The exit code for a configuration that is wrong."""

log = logging.getLogger("unisock")


class Servable(Protocol):
    """What can be run: a `Server`."""

    @property
    def settings(self) -> Settings: ...

    @property
    def adapter(self) -> Adapter: ...

    def override(self, source: str, settings: Mapping[str, Any]) -> None: ...

    async def serve(self, *, task_status: TaskStatus[tuple[Any, ...]]) -> None: ...

    async def drain(self, deadline: float | None = None) -> None: ...


def run(server: Servable, argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal stops at once.

    A wrong configuration is one line on standard error and exit code 2.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        overrides = parse(sys.argv[1:] if argv is None else argv)
        if overrides:
            server.override("command line", overrides)
        settings = server.settings
        if importlib.util.find_spec(settings.backend) is None:
            raise ConfigError(
                f"backend: {settings.backend} is not installed. Try: pip install "
                f"{settings.backend}",
                key="backend",
            )
        if settings.adapter == "memory":
            raise ConfigError(
                "the adapter 'memory' serves within a process and has no port; choose another with "
                "--adapter, `unisock adapters` lists them",
                key="adapter",
            )
        options = server.adapter.backend_options(settings.backend)
        anyio.run(_main, server, backend=settings.backend, backend_options=options)
    except ConfigError as error:
        fail(error)


def fail(error: ConfigError) -> NoReturn:
    """Say what is wrong in one line, and exit."""
    print(f"unisock: {error}", file=sys.stderr)  # noqa: T201 - it is a program's last word
    raise SystemExit(EXIT_CONFIG) from error


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """The settings that the command line names."""
    parser = argparse.ArgumentParser(
        description="Serve this application.",
        epilog="example: %(prog)s --port 8001",
    )
    add = parser.add_argument
    add("--adapter", help="who owns the socket; `unisock adapters` lists what is installed")
    add("--backend", choices=["asyncio", "trio"], help="the event loop")
    add("--host", help="the name or address to listen on")
    add("--port", type=int, help="the port to listen on; 0 takes a free one")
    add("--unix", help="listen on this Unix socket instead")
    return overrides(vars(parser.parse_args(argv)))


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a command line, `None` where not given, as settings."""
    given = {key: value for key, value in options.items() if value is not None}
    listen = {key: given.pop(key) for key in ("host", "port", "unix") if key in given}
    return {**given, "listen": listen} if listen else given


def describe(settings: Settings, addresses: Sequence[Address]) -> str:
    """The line that says where the server is: for eyes, and for scripts that wait for it."""
    scheme = "http" if settings.listen.tls is None else "https"
    where = " and ".join(
        f"{scheme}://{address}" if address.port else f"{scheme}+unix:{address.host}"
        for address in addresses
    )
    return f"unisock {version('unisock')} · {settings.adapter} · listening on {where}"


async def _main(server: Servable) -> None:
    errors: ConfigError | None = None
    try:
        async with anyio.create_task_group() as group:
            addresses = await group.start(_serve, server, group.cancel_scope)
            # Whoever waits for this line may send a signal right after it.
            await group.start(_obey_signals, server, group.cancel_scope)
            print(describe(server.settings, addresses), file=sys.stderr, flush=True)  # noqa: T201
    except BaseExceptionGroup as group_error:
        wrong, others = group_error.split(ConfigError)
        if others is not None or wrong is None:
            raise
        errors = _first(wrong)
    if errors is not None:
        raise errors


async def _serve(
    server: Servable, scope: anyio.CancelScope, *, task_status: TaskStatus[tuple[Any, ...]]
) -> None:
    await server.serve(task_status=task_status)
    scope.cancel()


async def _obey_signals(
    server: Servable, scope: anyio.CancelScope, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async with anyio.create_task_group() as group:
            asked = False
            async for number in signals:
                if asked:
                    scope.cancel()
                    return
                asked = True
                name = signal.Signals(number).name
                log.info("%s: draining; once more to stop at once", name)
                group.start_soon(server.drain)


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    error = group.exceptions[0]
    return error if isinstance(error, ConfigError) else _first(error)
