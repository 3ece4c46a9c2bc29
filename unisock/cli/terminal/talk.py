"""What a line does that somebody types or a script sends: it is a message, or a command."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from ...errors import ConnectionClosed, EncodeError
from ...messages import Close, ControlFrame, Sent
from ...spark import Spark
from .screen import Screen

__all__ = ["COMMANDS", "Talk", "read_value"]


@dataclass(frozen=True)
class Command:
    """A slash command.

    :ivar always: known at every terminal; else only with ``--slash``
    """

    usage: str
    summary: str
    always: bool = False


COMMANDS = {
    "help": Command("/help", "list the commands", always=True),
    "status": Command("/status", "tell how the connection is", always=True),
    "reconnect": Command("/reconnect", "connect anew, now", always=True),
    "quit": Command("/quit", "leave; so do Ctrl-D and Ctrl-C", always=True),
    "ping": Command("/ping [TEXT]", "send a ping, and time its answer"),
    "pong": Command("/pong [TEXT]", "send a pong that nobody asked for"),
    "close": Command("/close [CODE [REASON]]", "close the connection"),
    "hex": Command("/hex 00 ff …", "send a binary message"),
    "emit": Command("/emit NAME [ARG …]", "send an event; needs --codec json or msgpack"),
}


class Talk(ABC):
    """Lines from one side, messages from the other.

    :param slash: all commands are known, not only those that always are
    :param typed: lines are typed at a terminal: some commands are known in any case
    :param raw: lines are messages as they are; else they are JSON, or strings where they are none
    :param colour: of what is typed
    :ivar over: set when there is nothing more to talk about
    :ivar failed: the run is a failure
    """

    def __init__(
        self,
        screen: Screen,
        *,
        slash: bool,
        typed: bool,
        raw: bool,
        show_pings: bool,
        colour: bool,
    ) -> None:
        self.screen = screen
        self.over = anyio.Event()
        self.failed = False
        self._slash = slash
        self._typed = typed
        self._raw = raw
        self._show_pings = show_pings
        self._pings: dict[bytes, tuple[float, bool]] = {}
        self._by_hand = False
        self._warned = False
        self._prompt = None
        if typed:
            from .prompt import Prompt  # takes longer to import than all else: a pipe goes without

            names = [f"/{name}" for name, command in COMMANDS.items() if command in self.commands]
            self._prompt = Prompt(names, self.status, colour=colour)

    # What there is to talk to.

    @property
    @abstractmethod
    def spark(self) -> Spark | None:
        """Who the messages go to; `None` if nobody is there."""

    @abstractmethod
    def status(self) -> str:
        """How the connection is, in a line."""

    @abstractmethod
    def reconnect(self) -> None:
        """Connect anew."""

    @abstractmethod
    def emit(self, name: str, args: Sequence[object]) -> None:
        """Send an event.

        :raises ValueError: events cannot be sent here, or none has such a name
        """

    # Lines.

    async def read_typed(self) -> bool:
        """Take the lines that somebody types, until the end of them.

        :returns: whether they ended with Ctrl-D, not with Ctrl-C
        """
        assert self._prompt is not None
        with self._prompt.above():
            return await self._prompt.read_lines(self.take)

    async def wait_for_end(self, scope: anyio.CancelScope) -> None:
        """Cancel this when there is nothing more to talk about."""
        await self.over.wait()
        if self._prompt is not None:
            await self._prompt.leave()
        scope.cancel()

    def show_status(self) -> None:
        """The status has changed."""
        if self._prompt is not None:
            self._prompt.refresh()

    @property
    def commands(self) -> list[Command]:
        """Those that are known."""
        if self._slash:
            return [*COMMANDS.values()]
        return [command for command in COMMANDS.values() if command.always and self._typed]

    async def take(self, line: str) -> None:
        """Do what a line says; wait where the other side is slow."""
        known = self.commands
        if not known or not line.startswith("/"):
            await self.say(self._value(line))
            return
        name, _, rest = line[1:].partition(" ")
        if name.startswith("/"):
            await self.say(self._value(line[1:]))
        elif name in COMMANDS and COMMANDS[name] in known:
            try:
                await self._obey(name, rest.strip())
            except (ValueError, EncodeError) as error:
                self.complain(f"/{name}: {error}; write {COMMANDS[name].usage}")
        elif self._slash:
            self.complain(f"there is no command /{name}; type /help, or //{name} to send /{name}")
        else:
            await self.say(self._value(line))
            if name in COMMANDS and not self._warned:
                self._warned = True
                self.screen.remark(f"sent as a message; with --slash, /{name} is a command")

    async def say(self, payload: object) -> bool:
        """Send a message.

        :returns: whether that was possible
        """
        spark = self.spark
        if spark is None:
            self.complain("not sent: nobody is connected")
            return False
        try:
            if self._typed:
                sent = spark.send_nowait(payload)
            else:
                await spark.send(payload)
                sent = Sent.SENT
        except EncodeError as error:
            self.complain(f"not sent: {error}")
            return False
        except ConnectionClosed as error:
            self.complain(f"not sent: the connection is closed: {error}")
            return False
        if sent is Sent.DROPPED:
            self.complain("not sent: the connection is closed, or too much waits already")
        elif sent is Sent.QUEUED:
            self.screen.remark("this waits until the other side takes it")
        return sent is not Sent.DROPPED

    def complain(self, text: str) -> None:
        """Something could not be done. Who has typed it sees that; for a script it is a failure."""
        self.failed = self.failed or not self._typed
        self.screen.complain(text)

    def fail(self, text: str) -> None:
        """Something is wrong that makes the whole run a failure."""
        self.failed = True
        self.screen.complain(text)

    # From the peer.

    def heard(self, spark: Spark, payload: object) -> None:
        """A message has come."""
        self.screen.message(payload, spark.channel)
        self.look()

    def look(self) -> None:
        """End if nobody reads what is shown."""
        if self.screen.gone:
            self.over.set()

    def overheard(self, frame: ControlFrame) -> None:
        """A ping or pong, either way."""
        seconds, ours = None, False
        if frame.kind == "ping" and frame.sent:
            self._pings[frame.payload] = time.perf_counter(), self._by_hand
            if len(self._pings) > 100:
                del self._pings[next(iter(self._pings))]
        elif frame.kind == "pong" and not frame.sent and frame.payload in self._pings:
            since, ours = self._pings.pop(frame.payload)
            seconds = time.perf_counter() - since
        if self._show_pings or ours:
            self.screen.control(frame, seconds)
            self.look()

    # Commands.

    async def _obey(self, name: str, rest: str) -> None:
        functions: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "status": lambda _: self.screen.remark(self.status()),
            "reconnect": lambda _: self.reconnect(),
            "quit": lambda _: self.over.set(),
            "ping": lambda rest: self._control("ping", rest),
            "pong": lambda rest: self._control("pong", rest),
            "close": self._close,
            "emit": self._emit,
        }
        if name == "hex":
            await self._hex(rest)
        else:
            functions[name](rest)

    def _help(self, rest: str) -> None:
        known = self.commands
        for command in known:
            self.screen.remark(f"{command.usage:<24}{command.summary}")
        self.screen.remark("//text                  send /text")
        if len(known) < len(COMMANDS):
            self.screen.remark("--slash brings more: /ping, /pong, /close, /hex, /emit")

    def _control(self, kind: Literal["ping", "pong"], text: str) -> None:
        payload = text.encode() or (b"unisock connect" if kind == "ping" else b"")
        self._by_hand = True
        try:
            spark = self.spark
            if spark is None or not spark.connection.control(kind, payload):
                self.complain(f"no {kind} sent: nobody is connected")
        finally:
            self._by_hand = False

    def _close(self, rest: str) -> None:
        code, _, reason = rest.partition(" ")
        if code and not code.isdecimal():
            raise ValueError(f"{code!r} is no close code")
        spark = self.spark
        if spark is None:
            self.complain("nobody is connected")
        else:
            close = Close.checked(int(code or 1000), reason.strip(), None)
            spark.close_nowait(close.code, close.reason)

    async def _hex(self, rest: str) -> None:
        if not self._raw:
            raise ValueError("binary messages need --codec raw")
        await self.say(bytes.fromhex(rest))

    def _emit(self, rest: str) -> None:
        name, *args = _words(rest)
        self.emit(name, args)

    def _value(self, line: str) -> object:
        return line if self._raw else read_value(line)


def read_value(text: str) -> Any:
    """JSON, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _words(text: str) -> list[Any]:
    """A name, then JSON values and words.

    :raises ValueError: there is no name
    """
    name, _, rest = text.partition(" ")
    if not name:
        raise ValueError("an event has a name")
    values: list[Any] = [name]
    decoder, rest = json.JSONDecoder(), rest.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            end = 0
            value = None
        if not end or (end < len(rest) and rest[end] != " "):
            value, _, rest = rest.partition(" ")
        else:
            rest = rest[end:]
        values.append(value)
        rest = rest.strip()
    return values
