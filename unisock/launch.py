"""Starting a server as a process: command-line options, the loop, signals, what is printed."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any, NoReturn, Protocol

import anyio
from anyio.abc import TaskGroup, TaskStatus

from .abc import Adapter
from .config import Settings
from .errors import ConfigError
from .handshake import Address
from .pauses import sparing_survivors
from .sockets import SharedPorts
from .worker import STOP, Worker
from .workers import Failed, Overseer, count

__all__ = ["EXIT_CONFIG", "Servable", "describe", "describe_limits", "overrides", "run"]

EXIT_CONFIG = 2
"""The exit code for a configuration that is wrong."""

log = logging.getLogger("unisock")


class Built(Protocol):
    """What `Servable.check` gives."""

    @property
    def per_process(self) -> Sequence[str]: ...


class Servable(Protocol):
    """What can be run: a `Server`."""

    @property
    def settings(self) -> Settings: ...

    @property
    def adapter(self) -> Adapter: ...

    def override(self, source: str, settings: Mapping[str, Any]) -> None: ...

    def check(self, backend: str | None = None, *, processes: int = 1) -> Built: ...

    async def serve(
        self,
        *,
        sockets: Sequence[socket.socket] | None = None,
        processes: int = 1,
        task_status: TaskStatus[tuple[Any, ...]],
    ) -> None: ...

    async def drain(self, deadline: float | None = None) -> None: ...


def run(server: Servable, argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal stops at once. With `workers` in
    the settings, start this program once more for each, with the same arguments.

    A wrong configuration is one line on standard error and exit code 2.
    """
    worker = Worker.adopt()
    if not logging.getLogger().handlers:
        who = "" if worker is None else "%(processName)s "
        logging.basicConfig(level=logging.INFO, format=f"%(levelname)s {who}%(name)s: %(message)s")
    try:
        options = _prepare(server, sys.argv[1:] if argv is None else argv)
        workers = count(server.settings.workers)
        if worker is None and workers > 1:
            _oversee(server, workers)
        else:
            backend = server.settings.backend
            with sparing_survivors() if server.settings.freeze else nullcontext():
                anyio.run(_main, server, worker, backend=backend, backend_options=options)
    except ConfigError as error:
        fail(error)
    finally:
        if worker is not None:
            worker.close()


def _prepare(server: Servable, argv: Sequence[str]) -> dict[str, Any]:
    """Obey the command line, and see whether the server can run; returns the loop's options."""
    overrides = parse(argv)
    if overrides:
        server.override("command line", overrides)
    settings = server.settings
    if importlib.util.find_spec(settings.backend) is None:
        raise ConfigError(
            f"backend: {settings.backend} is not installed. Try: pip install {settings.backend}",
            key="backend",
        )
    if settings.adapter == "memory":
        raise ConfigError(
            "the adapter 'memory' serves within a process and has no port; choose another with "
            "--adapter, `unisock adapters` lists them",
            key="adapter",
        )
    return server.adapter.backend_options(settings.backend)


def _oversee(server: Servable, workers: int) -> None:
    """Be the parent of workers."""
    settings = server.settings
    built = server.check(processes=workers)
    with SharedPorts(settings.listen) as ports:
        addresses = ports.addresses

        def announce() -> None:
            if built.per_process:
                log.warning("%s", describe_limits(built.per_process))
            else:
                log.info("each worker has its own clients; server.everyone reaches those of one")
            print(describe(settings, addresses, workers), file=sys.stderr, flush=True)  # noqa: T201

        try:
            anyio.run(Overseer(workers, ports, announce).run)
        except Failed as failure:
            print(f"unisock: {failure}", file=sys.stderr)  # noqa: T201 - it is a last word, too
            raise SystemExit(failure.code) from failure


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
    add("--workers", metavar="N", help="processes that share the port; auto for one for each CPU")
    return overrides(vars(parser.parse_args(argv)))


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a command line, `None` where not given, as settings."""
    given = {key: value for key, value in options.items() if value is not None}
    listen = {key: given.pop(key) for key in ("host", "port", "unix") if key in given}
    return {**given, "listen": listen} if listen else given


def describe(settings: Settings, addresses: Sequence[Address], workers: int = 1) -> str:
    """The line that says where the server is: for eyes, and for scripts that wait for it."""
    scheme = "http" if settings.listen.tls is None else "https"
    where = " and ".join(
        f"{scheme}://{address}" if address.port else f"{scheme}+unix:{address.host}"
        for address in addresses
    )
    many = f"{workers} workers · " if workers > 1 else ""
    return f"unisock {version('unisock')} · {settings.adapter} · {many}listening on {where}"


def describe_limits(per_process: Sequence[str]) -> str:
    """The warning that something does not reach the clients of other workers."""
    return (
        f"{', '.join(per_process)}: with several workers, each has its own; they, and "
        "server.everyone, reach the clients of one worker only. See howto/workers in the "
        "documentation"
    )


async def _main(server: Servable, worker: Worker | None) -> None:
    errors: ConfigError | None = None
    try:
        async with anyio.create_task_group() as group:
            scope = group.cancel_scope
            addresses = await group.start(_serve, server, worker, scope)
            # Whoever waits for what is said here may send a signal right after it.
            leave = _Leave(server, group)
            await group.start(_obey_signals, leave)
            if worker is None:
                print(describe(server.settings, addresses), file=sys.stderr, flush=True)  # noqa: T201
            else:
                group.start_soon(_obey_parent, leave, worker)
                worker.tell_ready()
    except BaseExceptionGroup as group_error:
        wrong, others = group_error.split(ConfigError)
        if others is not None or wrong is None:
            raise
        errors = _first(wrong)
    if errors is not None:
        raise errors


async def _serve(
    server: Servable,
    worker: Worker | None,
    scope: anyio.CancelScope,
    *,
    task_status: TaskStatus[tuple[Any, ...]],
) -> None:
    if worker is None:
        await server.serve(task_status=task_status)
    else:
        # How many they are by now, the parent knows; that they are several, matters.
        await server.serve(sockets=worker.sockets, processes=2, task_status=task_status)
    scope.cancel()


class _Leave:
    """The way out."""

    def __init__(self, server: Servable, group: TaskGroup) -> None:
        self._server = server
        self._group = group
        self._draining = False

    def drain(self) -> None:
        """Let clients leave. Only the first call counts, wherever it comes from."""
        if not self._draining:
            self._draining = True
            self._group.start_soon(self._server.drain)

    def stop(self) -> None:
        """End at once."""
        self._group.cancel_scope.cancel()


async def _obey_signals(leave: _Leave, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        asked = False
        async for number in signals:
            if asked:
                leave.stop()
                return
            asked = True
            log.info("%s: draining; once more to stop at once", signal.Signals(number).name)
            leave.drain()


async def _obey_parent(leave: _Leave, worker: Worker) -> None:
    # Beside signals, not among them: whoever ends a whole group sends them to parent and workers.
    async for order in worker.orders():
        if order == STOP:
            leave.stop()
        else:
            leave.drain()


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    error = group.exceptions[0]
    return error if isinstance(error, ConfigError) else _first(error)
