"""One connection: its session words, its heartbeat, and what its messages are."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from unisock import Close, DecodeError, Message, Origin, Overflow, ProtocolError, Sent, UnisockError
from unisock.abc import Connection, Encoder, Party, Stage
from unisock.limits import Heartbeat
from unisock.plain_channels import PlainMultiplexer
from unisock.timers import Timer

from . import words
from .envelopes import Envelopes
from .options import ClientOptions
from .substreams import END, SubstreamChannel, key_of

__all__ = ["Conversation", "Speech"]


@dataclass(frozen=True, slots=True)
class Speech:
    """What all conversations of an endpoint have in common.

    :ivar encoder: what the connections' own sparks are spoken to through
    :ivar inner: the same for those of channels
    :ivar heartbeat: how often clients are told that the server lives, and when they are given up;
        `None` in a client
    """

    encoder: Encoder
    inner: Encoder
    envelopes: Envelopes
    options: ClientOptions
    heartbeat: Heartbeat | None = None


class Conversation(PlainMultiplexer):
    """The receiver of a connection."""

    __slots__ = (
        "_asked_at",
        "_channels",
        "_heard",
        "_over",
        "_ping_at",
        "_special",
        "_speech",
        "_substreams",
        "_timer",
        "id",
    )

    def __init__(self, connection: Connection, stage: Stage, speech: Speech) -> None:
        self.id = connection.id or secrets.token_urlsafe(16)
        self._speech = speech
        self._channels = stage.has_channels and speech.inner.codec.enclose() is not None
        self._substreams = speech.options.channels == "substream"
        # A sign of life since the last look; when the client was asked for one, and will be next.
        self._heard = False
        self._asked_at: float | None = None
        self._ping_at = 0.0
        self._timer: Timer | None = None
        # The server has said that it closes for good.
        self._over = False
        super().__init__(connection, stage, speech.inner)
        self._special = self._channels or self.events
        heartbeat = speech.heartbeat
        if heartbeat is not None and heartbeat.interval:
            self._ping_at = stage.runtime.timers.now + heartbeat.interval
            self._look_again(heartbeat.interval)

    def enter(self) -> Party:
        return self.stage.enter(
            self.connection,
            self._speech.encoder,
            id="" if self.stage.is_client else self.id,
            opener=self if self._channels else None,
        )

    # What arrives.

    def on_message(self, message: Message) -> None:
        self._heard = True
        try:
            payload = self._decode(message)
            kind = type(payload)
            if kind is str:
                text = cast("str", payload)
                if text.startswith(words.PREFIX) and self._take_word(text):
                    return
            elif self._special and (kind is dict or kind is list) and self._take(payload):
                return
        except (DecodeError, ProtocolError) as error:
            self.party.on_violation(error)
        else:
            self.party.on_data(payload)

    def _take_word(self, text: str) -> bool:
        """Take a word about the session; `False` if it is none for this side, and so is data."""
        kind, value = words.read(text)
        if not self.stage.is_client:
            if kind == words.ID:
                self._say_word(words.ID, self.id)
            return kind in (words.ID, words.PONG)
        if kind == words.PING and re.fullmatch("[0-9]{1,20}", value):
            self._say_word(words.PONG, value)
        elif text == words.CLOSE:
            self._over = True
        return kind in (words.ID, words.PING, words.SERVER)

    def _take(self, payload: object) -> bool:
        """Take what is of a channel or a plugin; `False` if it is data.

        :raises ProtocolError: it is neither
        """
        if isinstance(payload, list):
            frames = self._channels and not self._substreams
            return frames and self.take_frame(cast("object", payload))
        fields = cast("dict[Any, Any]", payload)
        if self._channels and self._substreams and isinstance(fields.get("substream"), str):
            self._take_substream(fields["substream"], fields.get("args"))
            return True
        packet = self._speech.envelopes.open(fields) if self.events else None
        if packet is not None:
            self.party.on_packet(packet)
        return packet is not None

    def _take_substream(self, name: str, args: object) -> None:
        channel = self.channels.get(key_of(name))
        if args == END:
            if channel is not None:
                channel.ended(channel.told(1000, ""))
            return
        if channel is None:
            self.join(SubstreamChannel(self, name))
            channel = self.channels.get(key_of(name))
        if channel is not None:  # else it was refused
            channel.arrived(args)

    # What this side begins.

    def open(self, name: str, auth: object = None) -> Party:
        if self._substreams:
            return self._open_substream(name, auth)
        if not self.stage.is_client:
            raise UnisockError(
                "only the clients of primus-multiplex begin channels: primus.channel(name); on "
                'substreams, with the option channels = "substream", either side may speak first'
            )
        return super().open(name, auth)

    def _open_substream(self, name: str, auth: object) -> Party:
        closing = self.connection.closing
        if closing is not None:
            raise closing.error()
        if auth is not None:
            raise UnisockError("substreams have no place for auth")
        self.check(name)
        if key_of(name) in self.channels:
            raise ValueError(f"the substream {name!r} is there already, and there is one of a name")
        channel = SubstreamChannel(self, name, ours=True)
        self.channels[channel.key] = channel
        self.stage.join(channel, ours=True)
        assert channel.party is not None
        return channel.party

    # How it ends.

    def on_close(self, close: Close) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().on_close(close)

    def on_resume(self) -> None:
        self._over = False
        super().on_resume()

    def judge(self, close: Close) -> Close:
        # Primus goes by the word alone: its servers close without a code, or with the same always.
        if self._over:
            return msgspec.structs.replace(close, reconnect=False)
        if close.origin is Origin.PEER and close.code == 1000:
            return msgspec.structs.replace(close, reconnect=True)
        return close

    # The heartbeat. A Primus client gives its server up if it is not pinged, whatever else comes.

    def _look_again(self, delay: float) -> None:
        self._timer = self.stage.runtime.timers.call_later(delay, self._beat)

    def _beat(self) -> None:
        connection, heartbeat = self.connection, self._speech.heartbeat
        if connection.closing is not None or heartbeat is None:
            return
        now = self.stage.runtime.timers.now
        if self._heard or connection.held:
            self._heard = False
            self._asked_at = None
        elif self._asked_at is not None and now - self._asked_at >= heartbeat.timeout:
            connection.fail(Close(1006, "no answer to the heartbeat", origin=Origin.LOST))
            return
        if now >= self._ping_at:
            self._ping_at = now + heartbeat.interval
            sent = self._say_word(words.PING, round(time.time() * 1000))
            # What waits behind other messages, a slow client cannot answer yet.
            if sent is Sent.SENT and self._asked_at is None:
                self._asked_at = now
        look_at = self._ping_at
        if self._asked_at is not None:
            look_at = min(look_at, self._asked_at + heartbeat.timeout)
        self._look_again(max(0.0, look_at - now))

    def _say_word(self, kind: str, value: object) -> Sent:
        """Say a word, which need not arrive: where there is no room for it, there is traffic."""
        encoded = self._speech.encoder.codec.encode(words.word(kind, value))
        return self.connection.write(encoded, Overflow.WAIT)
