"""Who a message goes to: one client, or any set of them that can be described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

from .fanout import encode, fan_out, serve, write_all
from .limits import Overflow
from .messages import Delivery, Packet
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
        return await serve(partial(fan_out, [*self], item, overflow))

    def send_nowait(self, item: Any, overflow: Overflow | None = None) -> Delivery:
        """The same as `send`, for callers that are not async.

        :raises EncodeError: the payload has no form for some; all others were served
        """
        return fan_out([*self], item, overflow)

    async def send_packet(self, packet: Packet, overflow: Overflow | None = None) -> Delivery:
        """Send a packet as it is, past the transforms; see `send`.

        :raises EncodeError: some encoder has no form for it; all others were served
        """
        return await serve(partial(write_all, [*self], partial(encode, packet), overflow))

    def send_packet_nowait(self, packet: Packet, overflow: Overflow | None = None) -> Delivery:
        """The same as `send_packet`, for callers that are not async.

        :raises EncodeError: some encoder has no form for it; all others were served
        """
        return write_all([*self], partial(encode, packet), overflow)


Who: TypeAlias = Audience | Recipient
"""One client or many."""


def audience(*who: Who) -> Audience:
    """All of them as one audience: sparks, rooms, audiences.

    :raises TypeError: one of them is none of these
    """
    if len(who) == 1:
        return _of(who[0])
    whole: Audience = _Listed([one for one in who if isinstance(one, Recipient)])
    for other in who:
        if not isinstance(other, Recipient):
            whole = _Union(whole, _of(other))
    return whole


def _of(who: object) -> Audience:
    if isinstance(who, Audience):
        return who
    if isinstance(who, Recipient):
        return _Only(who)
    raise TypeError(f"an audience is made of sparks, rooms and audiences, not {who!r}")


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


class _Listed(Audience):
    """Some clients."""

    __slots__ = ("_recipients",)

    def __init__(self, recipients: Iterable[Recipient]) -> None:
        self._recipients = dict.fromkeys(recipients)

    def __iter__(self) -> Iterator[Recipient]:
        return iter(self._recipients)

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._recipients

    def __len__(self) -> int:
        return len(self._recipients)

    def __repr__(self) -> str:
        return f"Listed({len(self._recipients)})"


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
