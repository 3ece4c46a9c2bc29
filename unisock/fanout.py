"""One message to many: encoded once for each encoder, framed once for each framing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from .abc import Connection, Encoder
from .errors import ConnectionClosed, EncodeError
from .framing import Framing
from .limits import Overflow
from .messages import Delivery, Packet, Sent, Wire
from .pipeline import DROP
from .recipient import Recipient

__all__ = ["encode", "fan_out", "serve", "write_all"]

# To read a member of an enum from its class costs as much as to write a message.
_SENT, _QUEUED, _DROPPED = Sent.SENT, Sent.QUEUED, Sent.DROPPED
_WAIT = Overflow.WAIT

Late: TypeAlias = Callable[[], Awaitable[Sent | None]]
"""Sends to a client whose outbox was full, and waits for it."""


def encode(packet: Packet, encoder: Encoder) -> Wire:
    """The packet as one encoder has it."""
    return encoder.encode(packet)


async def serve(fan_out: Callable[[list[Late]], Delivery]) -> Delivery:
    """Serve all that take the message at once, then the slow ones whose policy is to wait."""
    slow: list[Late] = []
    error: Exception | None = None
    done = Delivery()
    try:
        done = fan_out(slow)
    except Exception as caught:
        error = caught
    if slow:
        done = await _serve_late(slow, done)
    if error is not None:
        raise error
    return done


async def _serve_late(slow: Iterable[Late], done: Delivery) -> Delivery:
    sent, queued, dropped = done.sent, done.queued, done.dropped
    for late in slow:
        try:
            outcome = await late()
        except ConnectionClosed:
            dropped += 1
        else:
            queued += outcome is _QUEUED
            sent += outcome is not _QUEUED
    return Delivery(sent, queued, dropped)


async def _write_late(connection: Connection, wire: Wire) -> Sent:
    outcome = _DROPPED
    while outcome is _DROPPED:
        await connection.drain()
        outcome = connection.write(wire, _WAIT)
    return outcome


def fan_out(
    members: list[Recipient],
    item: Any,
    overflow: Overflow | None,
    slow: list[Late] | None = None,
) -> Delivery:
    """Send a payload to all: in one go, or through the transforms of those that have any."""
    if not [True for member in members if member.pipeline.outgoing]:
        return write_all(members, lambda encoder: encoder.encode_data(item), overflow, slow)
    return _fan_out_transformed(members, item, overflow, slow)


def _fan_out_transformed(
    members: list[Recipient],
    item: Any,
    overflow: Overflow | None,
    slow: list[Late] | None,
) -> Delivery:
    """Send a payload as the transforms leave it; still encoded once for all that get the same."""
    sent = queued = dropped = 0
    error: Exception | None = None
    shared: dict[int, tuple[Any, list[Recipient]]] = {}
    for member in members:
        if member.pipeline.outgoing_async:
            outcome = member.send_nowait(item, overflow)
            if outcome is _QUEUED:
                queued += 1
            elif slow is not None and member.closed is None and _waits(member, overflow):
                slow.append(partial(member.send, item))
            else:
                dropped += 1
            continue
        try:
            changed = member.transform(item)
        except Exception as caught:
            error, changed = caught, DROP
        if changed is DROP:
            dropped += 1
        else:
            shared.setdefault(id(changed), (changed, []))[1].append(member)
    for payload, group in shared.values():
        try:
            done = write_all(group, _data_encoder(payload), overflow, slow)
        except EncodeError as caught:
            error = caught
        else:
            sent, queued, dropped = sent + done.sent, queued + done.queued, dropped + done.dropped
    if error is not None:
        raise error
    return Delivery(sent, queued, dropped)


def _data_encoder(payload: Any) -> Callable[[Encoder], Wire]:
    return lambda encoder: encoder.encode_data(payload)


def write_all(
    members: Iterable[Recipient],
    encode: Callable[[Encoder], Wire],
    overflow: Overflow | None,
    slow: list[Late] | None = None,
) -> Delivery:
    """One encode for each encoder, one frame for each framing, then one `put` for each member."""
    sent = queued = dropped = 0
    frames = _Frames(encode)
    encoder: Encoder | None = None
    framing: Framing | None = None
    frame: Wire | None = None
    policy = overflow
    for member in members:
        connection = member.connection
        if member.encoder is not encoder or connection.framing is not framing:
            encoder, framing = member.encoder, connection.framing
            frame = frames.get(encoder, framing)
            # An encoder belongs to one endpoint, so the endpoint's policy changes with it.
            waits = slow is not None and _waits(member, overflow)
            policy = _WAIT if waits else overflow
        if frame is None:
            dropped += 1
            continue
        outcome = connection.put(frame, policy)
        if outcome is _SENT:
            sent += 1
        elif outcome is _QUEUED:
            queued += 1
        elif slow is not None and policy is _WAIT and connection.closed is None:
            slow.append(partial(_write_late, connection, frames.wire(member.encoder)))
        else:
            dropped += 1
    if frames.error is not None:
        raise frames.error
    return Delivery(sent, queued, dropped)


def _waits(member: Recipient, overflow: Overflow | None) -> bool:
    return (overflow or member.pipeline.overflow) is _WAIT


class _Frames:
    """The frames of one message, made when the first client of a kind turns up."""

    __slots__ = ("_encode", "_frames", "_wires", "error")

    def __init__(self, encode: Callable[[Encoder], Wire]) -> None:
        self._encode = encode
        self._wires: dict[Encoder, Wire] = {}
        self._frames: dict[tuple[Encoder, Framing], Wire | None] = {}
        self.error: EncodeError | None = None

    def get(self, encoder: Encoder, framing: Framing) -> Wire | None:
        """The frame for this kind of client; `None` if there is none, which `error` explains."""
        try:
            return self._frames[encoder, framing]
        except KeyError:
            return self._make(encoder, framing)

    def _make(self, encoder: Encoder, framing: Framing) -> Wire | None:
        frame: Wire | None = None
        try:
            if encoder not in self._wires:
                self._wires[encoder] = self._encode(encoder)
            frame = framing.frames(self._wires[encoder])
        except EncodeError as error:
            self.error = error
        self._frames[encoder, framing] = frame
        return frame

    def wire(self, encoder: Encoder) -> Wire:
        """What an encoder made of the message, which `get` has asked it for."""
        return self._wires[encoder]
