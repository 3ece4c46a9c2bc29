"""Being the server: one client at a time, and whoever types is its peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio

from ...config import Settings
from ...errors import HandshakeRejected
from ...handshake import Address, Handshake
from ...messages import Close, Origin
from ...runtime import task_group
from ...server import Server
from ...spark import Spark
from ..output import EXIT_FAILURE, EXIT_INTERRUPTED
from .pipe import NotText, read_lines
from .screen import Screen
from .talk import Talk

__all__ = ["ListenPlan", "Listening"]

_BUSY = "somebody is connected already"


@dataclass(frozen=True, kw_only=True)
class ListenPlan:
    """What the command line asks for.

    :ivar wait: seconds to stay after standard input has ended; `None` for ever
    """

    port: int
    host: str = "127.0.0.1"
    path: str = "/"
    subprotocols: Sequence[str] = ()
    certificate: str | None = None
    key: str | None = None
    passphrase: str | None = None
    compression: bool = False
    codec: str = "raw"
    wait: float | None = None
    slash: bool = False
    show_pings: bool = False
    typed: bool = False
    colour: bool = True


class Listening(Talk):
    """One run of the command."""

    def __init__(self, plan: ListenPlan, screen: Screen) -> None:
        super().__init__(
            screen,
            slash=plan.slash,
            typed=plan.typed,
            raw=plan.codec == "raw",
            show_pings=plan.show_pings,
            colour=plan.colour,
        )
        self._plan = plan
        self._spark: Spark | None = None
        self._come = anyio.Event()
        self._where = ""
        self._interrupted = False
        self._server = self._build()

    def _build(self) -> Server:
        plan = self._plan
        listen: dict[str, Any] = {"host": plan.host, "port": plan.port}
        if plan.certificate is not None:
            listen["tls"] = {"certificate": plan.certificate, "key": plan.key}
            if plan.passphrase is not None:
                listen["tls"]["password"] = plan.passphrase
        endpoint = {"path": plan.path, "codec": plan.codec, "subprotocols": [*plan.subprotocols]}
        server = Server(
            folder=None,  # the configuration in this folder is for another server
            listen=listen,
            endpoints=[endpoint],
            origins=["*"],
            options={Settings().adapter: {"compression": True}} if plan.compression else {},
        )
        server.authorize(self._admit)
        server.on_open(self._on_open)
        server.on_message(self.heard)
        server.on_close(self._on_close)
        server.on_error(self._on_error)
        return server

    async def run(self) -> int:
        """Listen until the user has enough.

        :returns: the exit code
        :raises ConfigError: nobody can listen there
        """
        async with task_group() as group:
            addresses: Sequence[Address] = await group.start(self._server.serve)
            scheme = "ws" if self._plan.certificate is None else "wss"
            self._where = f"{scheme}://{addresses[0]}{self._plan.path}"
            hint = "; /help lists the commands, Ctrl-D leaves" if self._plan.typed else ""
            self.screen.remark(f"listening on {self._where}{hint}")
            try:
                async with task_group() as inner:
                    inner.start_soon(self.wait_for_end, inner.cancel_scope)
                    if self._plan.typed:
                        self._interrupted = not await self.read_typed()
                    else:
                        await self._pipe()
                    inner.cancel_scope.cancel()
            finally:
                with anyio.move_on_after(5, shield=True):
                    if self._spark is not None:
                        await self._spark.close(1001, "going away")
                group.cancel_scope.cancel()
        if self.screen.gone:
            raise BrokenPipeError
        if self._interrupted:
            return EXIT_INTERRUPTED
        return EXIT_FAILURE if self.failed else 0

    async def _pipe(self) -> None:
        try:
            await read_lines(self._take_when_somebody_is_there)
        except NotText as error:
            self.complain(str(error))
        await anyio.sleep(float("inf") if self._plan.wait is None else self._plan.wait)

    async def _take_when_somebody_is_there(self, line: str) -> None:
        while self._spark is None:
            await self._come.wait()
        await self.take(line)

    # What the commands ask.

    @property
    def spark(self) -> Spark | None:
        return self._spark

    def status(self) -> str:
        if self._spark is None:
            return f"{self._where} · nobody is connected"
        return f"{self._where} · {self._spark.handshake.peer} is connected"

    def reconnect(self) -> NoReturn:
        raise ValueError("it is for the client to connect")

    def emit(self, name: str, args: Sequence[object]) -> NoReturn:
        raise ValueError("not while listening")

    # What happens.

    def _admit(self, handshake: Handshake) -> None:
        if self._spark is not None:
            raise HandshakeRejected(_BUSY, status=503, code=1013, retry=True)

    def _on_open(self, spark: Spark) -> None:
        if self._spark is not None:  # both asked before either was there
            spark.close_nowait(1013, _BUSY)
            return
        self._spark = spark
        spark.connection.overhear(self.overheard)
        self.screen.peer(True, f"{spark.handshake.peer} has come")
        self._come.set()
        self._refresh()

    def _on_close(self, spark: Spark, close: Close) -> None:
        if spark is not self._spark:
            return
        self._spark = None
        self._come = anyio.Event()
        told = f"{close.code} {close.reason}".rstrip()
        how = {Origin.PEER: "has closed", Origin.LOST: "is lost"}.get(close.origin, "is closed")
        self.screen.peer(False, f"{spark.handshake.peer} {how}: {told}", close)
        self._refresh()

    def _on_error(self, spark: Spark, error: Exception) -> None:
        self.fail(f"what the client sent cannot be read: {error}")

    def _refresh(self) -> None:
        self.look()
        self.show_status()
