"""What the user gets to see: text for people, or a JSON object a line for scripts."""

from __future__ import annotations

import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

import click
import msgspec

from ...messages import Close, ControlFrame, Origin, printable
from ...redial import State, StateChange
from ..output import complain, on_terminal
from .looks import dump, harmless, in_colour, json_of, lay_out

__all__ = ["PeopleScreen", "Screen", "ScriptScreen", "describe_close", "milliseconds"]


class Screen(ABC):
    """Shows what happens.

    :ivar gone: nobody reads any more
    """

    def __init__(self) -> None:
        self.gone = False

    @abstractmethod
    def message(self, payload: object, channel: str = "") -> None:
        """A message from the peer: `str` or `bytes` as it came, or what its codec made of it."""

    @abstractmethod
    def event(self, name: str, args: Sequence[object], channel: str = "") -> None:
        """An event from the peer."""

    @abstractmethod
    def answer(self, value: object, seconds: float) -> None:
        """The answer to our event, and how long it took."""

    @abstractmethod
    def control(self, frame: ControlFrame, seconds: float | None) -> None:
        """A ping or pong; with a pong, how long its ping took."""

    @abstractmethod
    def state(self, change: StateChange, text: str) -> None:
        """A step of the client; ``text`` says it to people, if it is worth it."""

    @abstractmethod
    def peer(self, here: bool, text: str, close: Close | None = None) -> None:
        """Somebody has come to us, or left."""

    @abstractmethod
    def close(self, close: Close) -> None:
        """How it ended."""

    @abstractmethod
    def remark(self, text: str) -> None:
        """Something worth knowing."""

    def complain(self, text: str) -> None:
        """Something went wrong."""
        complain(harmless(text))

    def write(self, text: str, stream: TextIO | None = None) -> None:
        """Lines onto standard output or another stream; never raises for a reader that is gone."""
        # Looked up now: while somebody types, standard output is another object.
        stream = stream or sys.stdout
        assert stream is not None
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError:
            self.gone = True


class ScriptScreen(Screen):
    """JSON objects, a line each: ``{"type": …, "data": …, "time": …}``.

    :param raw: messages are shown as they came, not decoded
    """

    def __init__(self, *, raw: bool) -> None:
        super().__init__()
        self._raw = raw

    def message(self, payload: object, channel: str = "") -> None:
        facts: dict[str, Any] = {"channel": channel} if channel else {}
        if self._raw and isinstance(payload, bytes):
            facts["encoding"] = "base64"
        self._line("message", payload, **facts)

    def event(self, name: str, args: Sequence[object], channel: str = "") -> None:
        facts: dict[str, Any] = {"channel": channel} if channel else {}
        self._line("event", {"name": name, "args": [*args]}, **facts)

    def answer(self, value: object, seconds: float) -> None:
        self._line("answer", value, latency=round(seconds, 6))

    def control(self, frame: ControlFrame, seconds: float | None) -> None:
        facts: dict[str, Any] = {} if seconds is None else {"latency": round(seconds, 6)}
        payload = frame.payload.decode("utf-8", "backslashreplace")
        self._line(frame.kind, payload, sent=frame.sent, **facts)

    def state(self, change: StateChange, text: str) -> None:
        facts: dict[str, Any] = {"attempt": change.attempt}
        if change.state is State.WAITING:
            facts["delay"] = round(change.delay, 3)
        if change.error is not None:
            facts["error"] = printable(str(change.error), 300)
        for name in ("queued", "unconfirmed", "dropped"):
            if count := getattr(change, name):
                facts[name] = count
        self._line("state", str(change.state), **facts)

    def peer(self, here: bool, text: str, close: Close | None = None) -> None:
        facts: dict[str, Any] = {}
        if close is not None:
            facts = {"code": close.code, "reason": close.reason}
        self._line("peer", "here" if here else "gone", **facts)

    def close(self, close: Close) -> None:
        data = {"code": close.code, "reason": close.reason, "by": close.origin.value}
        self._line("close", data)

    def remark(self, text: str) -> None:
        self._line("remark", text)

    def complain(self, text: str) -> None:
        self._line("error", text)
        super().complain(text)

    def _line(self, kind: str, data: object, **facts: object) -> None:
        line = {"type": kind, "data": data, **facts, "time": round(time.time(), 6)}
        try:
            text = msgspec.json.encode(line).decode()
        except (TypeError, ValueError, RecursionError):
            # MessagePack has what JSON has not: a map whose keys are numbers, say.
            text = msgspec.json.encode({**line, "data": repr(data)}).decode()
        self.write(text)


class PeopleScreen(Screen):
    """Text. On a terminal JSON is laid out and binary dumped; in a pipe messages are as they came,
    binary as hex digits. Remarks go to standard error.

    :param raw: messages are shown as they came, not decoded
    :param colour: `False` for none
    :param timestamps: each line begins with the time
    """

    def __init__(self, *, raw: bool, colour: bool, timestamps: bool) -> None:
        super().__init__()
        self._raw = raw
        self._timestamps = timestamps
        self._pretty = on_terminal(sys.stdout)
        unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        wanted = colour and not unwanted
        self._colour = wanted and self._pretty
        self._remarks_colour = wanted and on_terminal(sys.stderr)

    def message(self, payload: object, channel: str = "") -> None:
        label = f"{harmless(channel)} " if channel and self._pretty else ""
        if not self._raw:
            self._show(json_of(payload), label)
        elif isinstance(payload, bytes):
            self._show_binary(payload, label)
        else:
            self._show(str(payload), label)

    def event(self, name: str, args: Sequence[object], channel: str = "") -> None:
        shown = " ".join([name, *map(json_of, args)])
        if self._pretty:
            label = f"{harmless(channel)} " if channel else ""
            mark = self._paint(f"{label}event ", "magenta")
            self._out(f"{self._time()}{self._mark()}{mark}{self._highlight(harmless(shown))}")
        else:
            self._out(f"{self._time()}{shown}")

    def answer(self, value: object, seconds: float) -> None:
        self._show(json_of(value), "")
        self.remark(f"answered in {milliseconds(seconds)}")

    def control(self, frame: ControlFrame, seconds: float | None) -> None:
        mark = ">" if frame.sent else "<"
        payload = harmless(frame.payload.decode("utf-8", "backslashreplace"))
        took = "" if seconds is None else f" ({milliseconds(seconds)})"
        self._aside(f"{mark} {frame.kind} {payload}".rstrip() + took, "blue")

    def state(self, change: StateChange, text: str) -> None:
        if text:
            self._aside(harmless(text), "green" if change.state is State.OPEN else "yellow")

    def peer(self, here: bool, text: str, close: Close | None = None) -> None:
        self._aside(harmless(text), "green" if here else "yellow")

    def close(self, close: Close) -> None:
        if (close.origin, close.code) == (Origin.LOCAL, 1000):
            return  # who leaves knows that
        self._aside(harmless(describe_close(close)), "yellow")

    def remark(self, text: str) -> None:
        self._aside(text, None)

    def _show(self, text: str, label: str) -> None:
        if not self._pretty:
            self._out(f"{self._time()}{text}")
            return
        width = shutil.get_terminal_size().columns - 2
        text, is_json = lay_out(text, width)
        text = harmless(text)
        mark = self._mark() + (self._paint(label, "magenta") if label else "")
        shown = self._highlight(text) if is_json or not self._raw else text
        self._out(f"{self._time()}{mark}{shown}")

    def _show_binary(self, data: bytes, label: str) -> None:
        if not self._pretty:
            self._out(f"{self._time()}{data.hex()}")
            return
        size = "1 byte" if len(data) == 1 else f"{len(data)} bytes"
        lines = [f"{self._time()}{self._mark()}{label}{self._paint(size, 'magenta')}", *dump(data)]
        self._out("\n  ".join(lines))

    def _aside(self, text: str, colour: str | None) -> None:
        mark = "unisock"
        if self._remarks_colour:
            mark = click.style(mark, fg=colour or "green", bold=True)
            text = click.style(text, dim=True) if colour == "blue" else text
        self.write(f"{self._time()}{mark}: {text}", sys.stderr)

    def _out(self, text: str) -> None:
        self.write(text)

    def _mark(self) -> str:
        return self._paint("< ", "cyan")

    def _highlight(self, text: str) -> str:
        return in_colour(text) if self._colour else text

    def _paint(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._colour else text

    def _time(self) -> str:
        if not self._timestamps:
            return ""
        stamp = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        return (click.style(stamp, dim=True) if self._colour else stamp) + " "


def milliseconds(seconds: float) -> str:
    """A short time, for people."""
    return f"{seconds * 1000:.1f} ms"


def describe_close(close: Close) -> str:
    """How a connection ended, in a sentence."""
    told = f"{close.code} {close.reason}".rstrip()
    match close.origin:
        case Origin.PEER:
            return f"closed by the server: {told}"
        case Origin.REJECTED:
            return f"closed by the server for good: {told}"
        case Origin.LOST:
            return f"connection lost: {told}"
        case _:
            return f"closed: {told}"
