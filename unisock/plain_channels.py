"""Channels inside the plain dialect: the frames of primus-multiplex.

``[1, id, name]`` begins a channel, ``[0, id, name, payload]`` carries a payload on it, and
``[2, id, name]`` ends it. Whoever begins a channel makes its id, and may have several with one
name. Besides, ``[1, id, name, auth]`` gives something to the ``authorize`` handler, and
``[2, id, name, {"code": …, "reason": …}]`` says why, as a close frame does.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, cast

from .abc import Channel, Connection, Encoder, Multiplexer, Party, Receiver, Stage
from .codecs import Codec
from .envelope import open_envelope
from .errors import DecodeError, EncodeError, ProtocolError
from .messages import Ack, Close, Event, Message, Wire, printable

__all__ = ["PlainChannel", "PlainMultiplexer"]

MESSAGE, BEGIN, END = 0, 1, 2
MAX_ID = 64
"""Characters in the id of a channel."""


class PlainMultiplexer(Multiplexer):
    """A plain connection that may have channels, besides a spark of its own.

    :ivar encoder: what the sparks of its channels are spoken to through
    :ivar events: whether payloads may be envelopes
    :ivar party: the connection's own spark
    """

    __slots__ = ("_decode", "encoder", "events", "party")

    def __init__(self, connection: Connection, stage: Stage, encoder: Encoder) -> None:
        super().__init__(connection, stage)
        self.encoder = encoder
        self.events = Event in stage.packets or Ack in stage.packets
        self._decode = encoder.codec.decode
        self.party = self.enter()

    def enter(self) -> Party:
        """Make the connection's own spark."""
        return self.stage.enter(self.connection, self.encoder, opener=self)

    def on_message(self, message: Message) -> None:
        try:
            payload = self._decode(message)
            if self.take_frame(payload):
                return
            packet = open_envelope(payload) if self.events else None
        except (DecodeError, ProtocolError) as error:
            self.party.on_violation(error)
            return
        if packet is None:
            self.party.on_data(payload)
        else:
            self.party.on_packet(packet)

    def on_close(self, close: Close) -> None:
        super().on_close(close)
        self.party.on_close(close)

    def on_interrupt(self, close: Close) -> None:
        super().on_interrupt(close)
        self.party.on_interrupt(close)

    def on_resume(self) -> None:
        super().on_resume()
        self.party.on_resume()

    def take_frame(self, payload: object) -> bool:
        """Take a payload that is a frame of a channel; `False` if it is something else.

        :raises ProtocolError: it is a frame with something else in it
        """
        if type(payload) is not list:
            return False
        frame: list[Any] = cast("Any", payload)
        if not 3 <= len(frame) <= 4:
            return False
        kind, number, name, *rest = frame
        if not (type(kind) is int and 0 <= kind <= 2):
            return False
        if not (isinstance(number, str) and isinstance(name, str)):
            return False
        channel = cast("PlainChannel | None", self.channels.get((number, name)))
        last = rest[0] if rest else None
        if kind == MESSAGE:
            if channel is not None:  # else it crossed our word that the channel is over
                channel.arrived(last)
        elif kind == BEGIN:
            if len(number) > MAX_ID:
                raise ProtocolError(f"the id of a channel has at most {MAX_ID} characters")
            if channel is None:
                self.join(PlainChannel(self, (number, name), last))
        elif channel is not None:
            channel.ended(channel.told(*_read_close(last)))
        return True

    def open(self, name: str, auth: object = None) -> Party:
        closing = self.connection.closing
        if closing is not None:
            raise closing.error()
        self.check(name)
        channel = PlainChannel(self, (secrets.token_hex(6), name), auth, ours=True)
        self.channels[channel.key] = channel
        try:
            channel.resumed()
        except EncodeError:
            self.forget(channel)
            raise
        self.stage.join(channel, ours=True)
        assert channel.party is not None
        return channel.party


class PlainChannel(Channel):
    """One channel of a plain connection."""

    __slots__ = ("_after", "_before", "_multiplexer")

    def __init__(
        self,
        multiplexer: PlainMultiplexer,
        key: tuple[str, str],
        auth: object = None,
        *,
        ours: bool = False,
    ) -> None:
        super().__init__(
            multiplexer.connection,
            key[1],
            key=key,
            ours=ours,
            auth=auth,
            forget=multiplexer.forget,
        )
        self._multiplexer = multiplexer
        self._before: Any
        self._after: Any
        self._before, self._after = self.enclose(multiplexer.encoder.codec)

    def enclose(self, codec: Codec) -> tuple[Message, Message]:
        """What stands before and after each encoded payload.

        :raises EncodeError: the name has no form in the codec
        """
        enclosing = codec.enclose(MESSAGE, *cast("tuple[str, str]", self.key))
        assert enclosing is not None  # or there would be no channels
        return enclosing

    def wrap(self, frame: Wire) -> Wire:
        if isinstance(frame, tuple):
            return tuple([self._wrap(message) for message in frame])
        return self._wrap(frame)

    def _wrap(self, message: Message) -> Message:
        whole: Message = self._before + message + self._after
        return whole

    def part(self, close: Close) -> None:
        self._say(END, {"code": close.code, "reason": printable(close.reason)})

    def resumed(self) -> None:
        """Begin, or begin again where nobody knows of it any more."""
        self._say(BEGIN, self.auth)
        self.receiver.on_resume()

    def admitted(self, stage: Stage) -> None:
        party = stage.enter(self, self._multiplexer.encoder)
        self.attach(_Ends(party))
        self.begin()

    def take(self, item: Any) -> None:
        party = self.party
        assert party is not None
        try:
            packet = open_envelope(item) if self._multiplexer.events else None
        except ProtocolError as error:
            party.on_violation(error)
            return
        if packet is None:
            party.on_data(item)
        else:
            party.on_packet(packet)

    def _say(self, kind: int, last: object) -> None:
        frame: list[object] = [kind, *cast("tuple[str, str]", self.key)]
        if last is not None:
            frame.append(last)
        self._multiplexer.say(self._multiplexer.encoder.codec.encode(frame))


class _Ends(Receiver):
    """Hears how a channel ends. What it carries goes straight to the spark, decoded already."""

    __slots__ = ("_party",)

    def __init__(self, party: Party) -> None:
        self._party = party

    def on_message(self, message: Message) -> None: ...

    def on_close(self, close: Close) -> None:
        self._party.on_close(close)

    def on_interrupt(self, close: Close) -> None:
        self._party.on_interrupt(close)

    def on_resume(self) -> None:
        self._party.on_resume()


def _read_close(told: object) -> tuple[int, str]:
    """How the other side ended a channel, in whatever words."""
    code, reason = 1000, ""
    if isinstance(told, Mapping):
        facts = cast("Mapping[object, object]", told)
        code_told, reason_told = facts.get("code"), facts.get("reason")
        if type(code_told) is int and Close.sendable(code_told):
            code = code_told
        if isinstance(reason_told, str):
            reason = printable(reason_told)
    return code, reason
