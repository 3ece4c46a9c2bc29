"""The load by itself: what is sent when, and what counts as its answer. No input, no output, and
the clock is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from ...abc import NOBODY, Connection, Receiver
from ...messages import Close, Message, printable
from .histogram import Histogram

__all__ = ["ClosedLoop", "Lane", "Load", "OpenLoop", "describe"]

AT_ONCE = 256


class Load(ABC):
    """So many messages under way on each lane.

    :param depth: how many at most on one lane
    :param messages: how many in all; `None` for no end
    :param clock: the time in seconds
    :ivar latency: from the time a message was to be sent to its echo
    :ivar late: how far behind that time it left, where its lane had room
    :ivar lanes: those that are open
    :ivar began: when the load began
    :ivar sent: messages
    :ivar answered: how many came back, the last of them at `last`
    :ivar lost: how many were under way when their connection ended
    :ivar lost_lanes: how often a connection ended, by the reason
    :ivar wrong: what came in the place of an echo
    :ivar on_idle: called when nothing more is to be sent, and nothing is under way
    """

    def __init__(self, depth: int, messages: int | None, clock: Callable[[], float]) -> None:
        self.depth = depth
        self.left = messages
        self.clock = clock
        self.latency = Histogram()
        self.late = Histogram()
        self.lanes: list[Lane] = []
        self.began = 0.0
        self.last = 0.0
        self.sent = 0
        self.answered = 0
        self.lost = 0
        self.lost_lanes: dict[str, int] = {}
        self.wrong: str | None = None
        self.going = False
        self.on_idle: Callable[[], None] = lambda: None

    @property
    def under_way(self) -> int:
        """Messages without an answer."""
        return sum(len(lane.under_way) for lane in self.lanes)

    @property
    def overdue(self) -> int:
        """Messages that should have been sent by now."""
        return 0

    @abstractmethod
    def begin(self) -> None:
        """Start to send."""
        self.began = self.last = self.clock()
        self.going = True

    def stop(self) -> None:
        """Send no more."""
        self.going = False
        self._look()

    def send(self, lane: Lane, planned: float) -> None:
        """Send one message."""
        self.sent += 1
        lane.send(planned)
        if self.left is not None:
            self.left -= 1
            if not self.left:
                self.going = False

    def echoed(self, lane: Lane, planned: float) -> None:
        """A lane got an answer."""
        now = self.last = self.clock()
        self.answered += 1
        self.latency.add(now - planned)
        if self.going:
            self.next(lane, now)
        else:
            self._look()

    @abstractmethod
    def next(self, lane: Lane, now: float) -> None:
        """A lane has room."""

    def failed(self, wrong: str) -> None:
        """It is no echo."""
        self.wrong = self.wrong or wrong
        self.going = False
        self.on_idle()  # there is nothing to wait for

    def ended(self, lane: Lane, close: Close) -> None:
        """A connection has ended."""
        if lane not in self.lanes:
            return
        self.lanes.remove(lane)
        self.lost += len(lane.under_way)
        told = f"connection lost: {close.error()}"
        self.lost_lanes[told] = self.lost_lanes.get(told, 0) + 1
        if not self.lanes:
            self.going = False
        if not self.going:
            self._look()

    def _look(self) -> None:
        if not any(lane.under_way for lane in self.lanes):
            self.on_idle()


class ClosedLoop(Load):
    """Each echo sets off the next message: as fast as the endpoint answers."""

    def begin(self) -> None:
        super().begin()
        for _ in range(self.depth):
            for lane in [*self.lanes]:
                if self.going:
                    self.send(lane, self.clock())

    def next(self, lane: Lane, now: float) -> None:
        self.send(lane, now)


class OpenLoop(Load):
    """Message number n is planned n / rate seconds after the start, whatever is answered.

    It is sent then, if any lane has room, or as soon as one has. Its latency counts from the plan:
    so a stall of the endpoint shows in all messages that had to wait, and not in one alone
    ("coordinated omission").

    :param rate: messages a second, on all lanes together
    """

    def __init__(
        self, rate: float, depth: int, messages: int | None, clock: Callable[[], float]
    ) -> None:
        super().__init__(depth, messages, clock)
        self._rate = rate
        self._turn = 0
        self._full = False

    @property
    def planned(self) -> float:
        """When the next message is to be sent."""
        return self.began + self.sent / self._rate

    @property
    def overdue(self) -> int:
        if self.left is not None and not self.left:
            return 0
        planned = int((self.clock() - self.began) * self._rate) + 1
        if self.left is not None:
            planned = min(planned, self.sent + self.left)
        return max(0, planned - self.sent)

    def begin(self) -> None:
        super().begin()
        self.pump()

    def pump(self) -> None:
        """Send what is due, but no more at once than leaves time to hear answers."""
        for _ in range(AT_ONCE):
            if not self.going or self._full:
                return
            now, planned = self.clock(), self.planned
            if planned > now:
                return
            lane = self._free()
            if lane is None:
                self._full = True
                return
            self.late.add(now - planned)
            self.send(lane, planned)

    def next(self, lane: Lane, now: float) -> None:
        while self._full and self.going:
            planned = self.planned
            if planned > now:
                self._full = False
            elif len(lane.under_way) < self.depth:
                self.send(lane, planned)
            else:
                return

    def _free(self) -> Lane | None:
        """The next lane in turn that has room."""
        lanes = self.lanes
        for _ in range(len(lanes)):
            self._turn += 1
            lane = lanes[self._turn % len(lanes)]
            if len(lane.under_way) < self.depth:
                return lane
        return None


class Lane(Receiver):
    """One connection under load.

    :ivar under_way: when each message was planned that has no answer yet
    """

    __slots__ = ("_connection", "_load", "_message", "under_way")

    def __init__(self, connection: Connection, message: Message, load: Load) -> None:
        self._connection = connection
        self._message = message
        self._load = load
        self.under_way: deque[float] = deque()
        load.lanes.append(self)

    def send(self, planned: float) -> None:
        """Send the message."""
        self.under_way.append(planned)
        self._connection.write(self._message)

    def abandon(self) -> None:
        """Cut the connection, and hear no more of it."""
        self._connection.attach(NOBODY)
        self._connection.fail(Close(1006, "no answer"))

    def on_message(self, message: Message) -> None:
        if message == self._message and self.under_way:
            self._load.echoed(self, self.under_way.popleft())
        else:
            self._load.failed(describe(self._message, message, asked=bool(self.under_way)))

    def on_close(self, close: Close) -> None:
        self._load.ended(self, close)


def describe(sent: Message, came: Message, *, asked: bool = True) -> str:
    """Why an answer is no echo."""
    if not asked:
        return f"it sent {_show(came)} unasked"
    return f"it answered {_show(sent)} with {_show(came)}"


def _show(message: Message) -> str:
    size, short = len(message), message[:30]
    if isinstance(short, str):
        unit = "character" if size == 1 else "characters"
        return f"{printable(short)}{'…' if size > 30 else ''} ({size} {unit} of text)"
    return f"{short.hex(' ', 4)}{'…' if size > 30 else ''} ({size} bytes, binary)"
