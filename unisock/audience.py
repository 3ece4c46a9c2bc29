"""Who a message goes to: one client, or any set of them that can be described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

from .abc import Connection, Encoder
from .errors import ConnectionClosed, EncodeError
from .framing import Framing
from .limits import Overflow
from .messages import Delivery, Packet, Sent, Wire
from .pipeline import DROP
from .recipient import Recipient

__all__ = ["Audience", "Combining", "Who", "audience"]

# To read a member of an enum from its class costs as much as to write a message.
_SENT, _QUEUED, _DROPPED = Sent.SENT, Sent.QUEUED, Sent.DROPPED
_WAIT = Overflow.WAIT


class Combining:
    """``|``, ``&`` and ``-``, for single sparks as well as for audiences."""

    __slots__ = ()

    def __or__(self, other: Who) -> Audience:
        return _Union(_of(self), _of(other))

    def __and__(self, other: Who) -> Audience:
        return _Intersection(_of(self), _of(other))

    def __sub__(self, other: Who) -> Audience:
        return _Difference(_of(self), _of(other))


class Audience(Combining, ABC):
    """A set of clients, described and not listed: it is read anew at each `send`.

    Combine audiences, and single sparks, with ``|``, ``&`` and ``-``.
    """

    __slots__ = ()

    @abstractmethod
    def __iter__(self) -> Iterator[Recipient]: ...

    @abstractmethod
    def __contains__(self, recipient: object) -> bool: ...

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def lookup(self) -> Callable[[Any], bool]:
        """A function that tells of many recipients, one after another, whether they are in it now.

        An audience that has no quick ``in`` makes it here, once for all of them.
        """
        return self.__contains__

    async def send(self, item: Any, overflow: Overflow | None = None) -> Delivery:
        """Send a payload to everyone; encoded once for all that speak alike.

        A slow client holds up nobody: its copy waits in its outbox, and `overflow` decides what
        happens when that is full.

        :param overflow: the policy for this message; each endpoint's own unless given. With
            `Overflow.WAIT`, this call waits for the slow ones after all others were served.
        :raises EncodeError: the payload has no form for some; all others were served
        :raises Exception: what a transform raised for some; all others were served
        """
        return await _serve(partial(_fan_out, [*self], item, overflow))

    def send_nowait(self, item: Any, overflow: Overflow | None = None) -> Delivery:
        """The same as `send`, for callers that are not async.

        :raises EncodeError: the payload has no form for some; all others were served
        """
        return _fan_out([*self], item, overflow)

    async def send_packet(self, packet: Packet, overflow: Overflow | None = None) -> Delivery:
        """Send a packet as it is, past the transforms; see `send`.

        :raises EncodeError: some dialect has no form for it; all others were served
        """
        encode = partial(_encode, packet)
        return await _serve(partial(_write_all, [*self], encode, overflow))

    def send_packet_nowait(self, packet: Packet, overflow: Overflow | None = None) -> Delivery:
        """The same as `send_packet`, for callers that are not async.

        :raises EncodeError: some dialect has no form for it; all others were served
        """
        return _write_all([*self], partial(_encode, packet), overflow)


Who: TypeAlias = Audience | Recipient
"""One client or many."""


def audience(who: Who) -> Audience:
    """One client, or many, as an audience.

    :raises TypeError: it is neither
    """
    return _of(who)


def _of(who: object) -> Audience:
    if isinstance(who, Audience):
        return who
    if isinstance(who, Recipient):
        return _Only(who)
    raise TypeError(f"an audience is made of sparks, rooms and audiences, not {who!r}")


_Late: TypeAlias = Callable[[], Awaitable[Sent | None]]
"""Sends to a client whose outbox was full, and waits for it."""


def _encode(packet: Packet, encoder: Encoder) -> Wire:
    return encoder.encode(packet)


async def _serve(fan_out: Callable[[list[_Late]], Delivery]) -> Delivery:
    """Serve all that take the message at once, then the slow ones whose policy is to wait."""
    slow: list[_Late] = []
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


async def _serve_late(slow: Iterable[_Late], done: Delivery) -> Delivery:
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


def _fan_out(
    members: list[Recipient],
    item: Any,
    overflow: Overflow | None,
    slow: list[_Late] | None = None,
) -> Delivery:
    """Send a payload to all: in one go, or through the transforms of those that have any."""
    if not [True for member in members if member.pipeline.outgoing]:
        return _write_all(members, lambda encoder: encoder.encode_data(item), overflow, slow)
    return _fan_out_transformed(members, item, overflow, slow)


def _fan_out_transformed(
    members: list[Recipient],
    item: Any,
    overflow: Overflow | None,
    slow: list[_Late] | None,
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
            done = _write_all(group, _data_encoder(payload), overflow, slow)
        except EncodeError as caught:
            error = caught
        else:
            sent, queued, dropped = sent + done.sent, queued + done.queued, dropped + done.dropped
    if error is not None:
        raise error
    return Delivery(sent, queued, dropped)


def _data_encoder(payload: Any) -> Callable[[Encoder], Wire]:
    return lambda encoder: encoder.encode_data(payload)


def _write_all(
    members: Iterable[Recipient],
    encode: Callable[[Encoder], Wire],
    overflow: Overflow | None,
    slow: list[_Late] | None = None,
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


class _Only(Audience):
    """One client."""

    __slots__ = ("recipient",)

    def __init__(self, recipient: Recipient) -> None:
        self.recipient = recipient

    def __iter__(self) -> Iterator[Recipient]:
        yield self.recipient

    def __contains__(self, recipient: object) -> bool:
        return recipient is self.recipient

    def __len__(self) -> int:
        return 1

    def lookup(self) -> Callable[[Any], bool]:
        return frozenset((self.recipient,)).__contains__

    def __repr__(self) -> str:
        return repr(self.recipient)


class _Pair(Audience):
    __slots__ = ("_left", "_right")

    def __init__(self, left: Audience, right: Audience) -> None:
        self._left = left
        self._right = right

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({self._left!r}, {self._right!r})"


class _Union(_Pair):
    __slots__ = ()

    def __iter__(self) -> Iterator[Recipient]:
        return iter(dict.fromkeys(chain(self._left, self._right)))

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._left or recipient in self._right

    def lookup(self) -> Callable[[Any], bool]:
        left, right = self._left.lookup(), self._right.lookup()
        return lambda recipient: left(recipient) or right(recipient)


class _Intersection(_Pair):
    __slots__ = ()

    def __iter__(self) -> Iterator[Recipient]:
        wanted = self._right.lookup()
        return iter([recipient for recipient in self._left if wanted(recipient)])

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._left and recipient in self._right

    def lookup(self) -> Callable[[Any], bool]:
        left, right = self._left.lookup(), self._right.lookup()
        return lambda recipient: left(recipient) and right(recipient)


class _Difference(_Pair):
    __slots__ = ()

    def __iter__(self) -> Iterator[Recipient]:
        if isinstance(self._right, _Only):  # everyone else: the commonest of all
            one = self._right.recipient
            return iter([recipient for recipient in self._left if recipient is not one])
        unwanted = self._right.lookup()
        return iter([recipient for recipient in self._left if not unwanted(recipient)])

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._left and recipient not in self._right

    def lookup(self) -> Callable[[Any], bool]:
        left, right = self._left.lookup(), self._right.lookup()
        return lambda recipient: left(recipient) and not right(recipient)
