"""Who a message goes to: one client, or any set of them that can be described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from .abc import Dialect
from .errors import ConnectionClosed, EncodeError
from .framing import Framing
from .limits import Overflow
from .messages import Delivery, Packet, Sent, Wire
from .pipeline import DROP
from .recipient import Recipient

__all__ = ["Audience", "Combining", "Who", "audience"]


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

    async def send(self, item: Any, overflow: Overflow | None = None) -> Delivery:
        """Send a payload to everyone; encoded once for all that speak alike.

        A slow client holds up nobody: its copy waits in its outbox, and `overflow` decides what
        happens when that is full.

        :param overflow: the policy for this message; each endpoint's own unless given. With
            `Overflow.WAIT`, this call waits for the slow ones after all others were served.
        :raises EncodeError: the payload has no form for some; all others were served
        """
        members = [*self]
        if overflow is not Overflow.WAIT:
            return _fan_out(members, item, overflow)
        slow: list[Recipient] = []
        done = _fan_out(members, item, overflow, slow)
        sent, dropped = done.sent, done.dropped - len(slow)
        for recipient in slow:
            try:
                await recipient.send(item)
                sent += 1
            except ConnectionClosed:
                dropped += 1
        return Delivery(sent, done.queued, dropped)

    def send_nowait(self, item: Any, overflow: Overflow | None = None) -> Delivery:
        """The same as `send`, for callers that are not async.

        :raises EncodeError: the payload has no form for some; all others were served
        """
        return _fan_out([*self], item, overflow)

    def send_packet(self, packet: Packet, overflow: Overflow | None = None) -> Delivery:
        """Send a packet as it is, past the transforms, without waiting.

        :raises EncodeError: some dialect has no form for it; all others were served
        """
        return _write_all([*self], lambda dialect: dialect.encode(packet), overflow)


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


def _fan_out(
    members: Iterable[Recipient],
    item: Any,
    overflow: Overflow | None,
    slow: list[Recipient] | None = None,
) -> Delivery:
    """Send a payload to all: in one go, or through the transforms of those that have any."""
    plain: list[Recipient] = []
    sent = queued = dropped = 0
    shared: dict[int, tuple[Any, list[Recipient]]] = {}
    for member in members:
        pipeline = member.pipeline
        if not pipeline.outgoing:
            plain.append(member)
        elif pipeline.outgoing_async:
            outcome = member.send_nowait(item, overflow)
            queued += outcome is Sent.QUEUED
            dropped += outcome is Sent.DROPPED
        else:
            changed = member.transform(item)
            if changed is DROP:
                dropped += 1
            else:
                shared.setdefault(id(changed), (changed, []))[1].append(member)
    parts = [(item, plain), *shared.values()] if plain else [*shared.values()]
    for payload, group in parts:
        done = _write_all(group, _data_encoder(payload), overflow, slow)
        sent, queued, dropped = sent + done.sent, queued + done.queued, dropped + done.dropped
    return Delivery(sent, queued, dropped)


def _data_encoder(payload: Any) -> Callable[[Dialect], Wire]:
    return lambda dialect: dialect.encode_data(payload)


def _write_all(
    members: Iterable[Recipient],
    encode: Callable[[Dialect], Wire],
    overflow: Overflow | None,
    slow: list[Recipient] | None = None,
) -> Delivery:
    """One encode for each dialect, one frame for each framing, then one `put` for each member."""
    sent = queued = dropped = 0
    frames = _Frames(encode)
    dialect: Dialect | None = None
    framing: Framing | None = None
    frame: Wire | None = None
    for member in members:
        connection = member.connection
        if member.dialect is not dialect or connection.framing is not framing:
            dialect, framing = member.dialect, connection.framing
            frame = frames.get(dialect, framing)
        if frame is None:
            dropped += 1
            continue
        outcome = connection.put(frame, overflow)
        if outcome is Sent.SENT:
            sent += 1
        elif outcome is Sent.QUEUED:
            queued += 1
        else:
            dropped += 1
            if slow is not None and member.closed is None:
                slow.append(member)
    if frames.error is not None:
        raise frames.error
    return Delivery(sent, queued, dropped)


class _Frames:
    """The frames of one message, made when the first client of a kind turns up."""

    __slots__ = ("_encode", "_frames", "_wires", "error")

    def __init__(self, encode: Callable[[Dialect], Wire]) -> None:
        self._encode = encode
        self._wires: dict[Dialect, Wire] = {}
        self._frames: dict[tuple[Dialect, Framing], Wire | None] = {}
        self.error: EncodeError | None = None

    def get(self, dialect: Dialect, framing: Framing) -> Wire | None:
        """The frame for this kind of client; `None` if there is none, which `error` explains."""
        key = (dialect, framing)
        if key not in self._frames:
            try:
                if dialect not in self._wires:
                    self._wires[dialect] = self._encode(dialect)
                self._frames[key] = framing.frames(self._wires[dialect])
            except EncodeError as error:
                self._frames[key] = None
                self.error = error
        return self._frames[key]


class _Only(Audience):
    """One client."""

    __slots__ = ("_recipient",)

    def __init__(self, recipient: Recipient) -> None:
        self._recipient = recipient

    def __iter__(self) -> Iterator[Recipient]:
        yield self._recipient

    def __contains__(self, recipient: object) -> bool:
        return recipient is self._recipient


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


class _Intersection(_Pair):
    __slots__ = ()

    def __iter__(self) -> Iterator[Recipient]:
        return (recipient for recipient in self._left if recipient in self._right)

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._left and recipient in self._right


class _Difference(_Pair):
    __slots__ = ()

    def __iter__(self) -> Iterator[Recipient]:
        return (recipient for recipient in self._left if recipient not in self._right)

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._left and recipient not in self._right
