"""An open WebSocket: between the bytes of a link and the messages of unisock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from unisock.abc import Upgrade
from unisock.connection import LOST, BufferedConnection
from unisock.errors import DecodeError, LimitExceeded
from unisock.framing import Framing
from unisock.messages import Close, ControlFrame, Message, Origin, printable

from .link import HIGH_WATER, Link, Sink
from .protocol import Bounded, PartialMessage, too_big

__all__ = ["WebSocketConnection"]

SLICE = 16_384
"""Bytes that are parsed at once: the frames in them exist as objects all at the same time."""

TEXT, BINARY, CONT, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.PING,
    Opcode.PONG,
)

PING_PAYLOAD = b"unisock"
"""Tells the answer to our ping from a pong that nobody asked for (RFC 6455 section 5.5.3)."""

_Frames: TypeAlias = Iterator[Frame]
_Answers: TypeAlias = Iterator[bytes]


class WebSocketConnection(BufferedConnection, Sink):
    """The peer on a WebSocket.

    Whatever is sent while bytes from it are being handled is gathered, and leaves in one
    write; whatever is sent at another time leaves at once.
    """

    __slots__ = (
        "_batch",
        "_held",
        "_link",
        "_over",
        "_overheard",
        "_partial",
        "_paused",
        "_pong",
        "_protocol",
        "_told",
    )

    pings = True

    def __init__(self, upgrade: Upgrade, link: Link, protocol: Bounded, framing: Framing) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, framing)
        self._link = link
        self._protocol = protocol
        self._partial: PartialMessage | None = None
        self._batch: _Batch | None = None
        self._paused = False
        self._held: _Held | None = None
        # The latest pong that did not fit into the link.
        self._pong = b""
        # Our close frame is on its way.
        self._told = False
        # Nothing more is to be read: the closing handshake is done, or has failed.
        self._over = False
        self._overheard: Callable[[ControlFrame], None] | None = None

    def begin(self, upgrade: Upgrade, early: bytes) -> None:
        """Send the answer to the request, and come to life.

        :param early: what the client sent behind its request
        """
        self._batch = _Batch()
        try:
            for data in self._protocol.data_to_send():
                self.transmit(data)
            upgrade.open(self)
        finally:
            self._flush()
        if early:
            self.received(early)
        if not self._paused:
            self._link.resume_reading()

    # From the link.

    def received(self, data: bytes) -> None:
        self.heard = True
        if self._over:
            return
        if self._paused:
            held = self._held
            if held is None:
                self._held = _Held(data)
            else:
                held.data += data
            return
        protocol = self._protocol
        protocol.receive_data(data[:SLICE])
        self._handle(
            cast("_Frames", iter(protocol.events_received())),
            iter(protocol.data_to_send()),
            data[SLICE:],
        )

    def input_ended(self) -> bool:
        if not self._over:
            self._over = True
            self.close(LOST)  # and within close_seconds, whatever still waits in the link
        return False

    def lost(self) -> None:
        self._over = True
        self._paused = False
        self._held = self._partial = None
        self._protocol.parser.close()  # it refers to itself
        self.ended(LOST)

    def relieved(self) -> None:
        if self._over:  # what waits cannot be sent any more; `ended` counts it
            return
        self._batch = _Batch()
        try:
            if self._pong:
                self.transmit(self._pong)
                self._pong = b""
            super().relieved()
        finally:
            self._flush()

    # From the core.

    @property
    def agreed(self) -> bool:
        protocol = self._protocol
        return self._told and protocol.close_rcvd is not None and not protocol.close_rcvd_then_sent

    def transmit(self, frame: Any) -> None:
        batch = self._batch
        if batch is None:
            self._link.write(frame)
            return
        batch.parts.append(frame)
        batch.size += len(frame)
        if batch.size > HIGH_WATER:
            self._write_batch(batch)

    def shut(self, close: Close) -> None:
        protocol = self._protocol
        if self._over or protocol.state is not State.OPEN:
            return
        self._told = True
        code = close.code if Close.sendable(close.code) else None
        protocol.send_close(code, "" if code is None else printable(close.reason))
        for data in protocol.data_to_send():
            self.transmit(data)
        # The client's close may be behind what is held back.
        self.resume_reading()

    def abort(self) -> None:
        self._over = True
        self._link.abort()

    def ping(self) -> None:
        if self._paused:
            self.heard = True  # its answer could not be heard; and it waits for us, not we for it
        elif not self._over:
            self.control("ping", PING_PAYLOAD)

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        if len(payload) > 125:
            raise ValueError(f"a {kind} carries at most 125 bytes, not {len(payload)}")
        protocol = self._protocol
        if self._over or protocol.state is not State.OPEN:
            return False
        if kind == "ping":
            protocol.send_ping(payload)
        else:
            protocol.send_pong(payload)
        for data in protocol.data_to_send():
            self.transmit(data)
        if self._overheard is not None:
            self._overheard(ControlFrame(kind, payload, sent=True))
        return True

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        self._overheard = tell
        return True

    def pause_reading(self) -> None:
        if not self._paused and not self._over:
            self._paused = True
            self._link.pause_reading()

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        held, self._held = self._held, None
        if held is not None:
            self._handle(held.frames, held.answers, bytes(held.data))
        if not self._paused:
            self._link.resume_reading()

    # In between.

    def _handle(self, frames: _Frames, answers: _Answers, data: bytes) -> None:
        """Deliver what was parsed, then parse and deliver the rest, unless paused meanwhile.

        :param answers: what the protocol answers to the frames: a pong for each ping, in order,
            then perhaps a close frame
        :param data: the rest
        """
        protocol, at = self._protocol, 0
        outermost = self._batch is None
        if outermost:
            self._batch = _Batch()
        try:
            while self._take(frames, answers):
                if at >= len(data):
                    return
                protocol.receive_data(data[at : at + SLICE])
                frames = cast("_Frames", iter(protocol.events_received()))
                answers = iter(protocol.data_to_send())
                at += SLICE
            if not self._over:
                self._held = _Held(data[at:], frames, answers)
        finally:
            if outermost:
                self._flush()

    def _take(self, frames: _Frames, answers: _Answers) -> bool:
        """Deliver frames and send answers in their order.

        :returns: `False` if reading was paused, or is over
        """
        for frame in frames:
            opcode = frame.opcode
            if opcode is PING:
                if self._overheard is not None:
                    self._overheard(ControlFrame("ping", bytes(frame.data)))
                    self._overheard(ControlFrame("pong", bytes(frame.data), sent=True))
                self._answer(next(answers))
            elif opcode is TEXT or opcode is BINARY or opcode is CONT:
                try:
                    message = self._message(frame)
                except (DecodeError, LimitExceeded) as error:
                    self._violated(Close(error.code, str(error)))
                    return False
                if message is not None:
                    self.receiver.on_message(message)
                    if self._paused or self._over:
                        return False
            elif opcode is PONG:
                if self._overheard is not None:
                    self._overheard(ControlFrame("pong", bytes(frame.data)))
                if frame.data == PING_PAYLOAD:
                    self.ponged()
        for data in answers:
            if data:
                self.transmit(data)
        # A client's side of the protocol would wait for the server's end of file, whatever happens.
        protocol = self._protocol
        if protocol.eof_sent or protocol.close_rcvd or protocol.parser_exc:
            self._conclude()
            return False
        return True

    def _message(self, frame: Frame) -> Message | None:
        """The message that ends with this frame."""
        partial = self._partial
        if partial is None:
            if len(frame.data) > self.gate.limits.message_bytes:
                raise too_big(self.gate.limits.message_bytes)
            text = frame.opcode is TEXT
            if frame.fin:
                if not text:
                    return bytes(frame.data)
                try:
                    return str(frame.data, "utf-8")
                except UnicodeDecodeError as error:
                    raise DecodeError("invalid UTF-8") from error
            self._partial = partial = PartialMessage(self.gate.limits, text=text)
        message = partial.add(frame)
        if message is not None:
            self._partial = None
        return message

    def _answer(self, pong: bytes) -> None:
        """Send a pong; of many that the client does not read, the latest (section 5.5.3)."""
        if self._link.full:
            self._pong = pong
        else:
            self.transmit(pong)

    def _violated(self, close: Close) -> None:
        """The client broke a rule that the protocol does not know: say so, and close."""
        self._over = True
        self._partial = None
        if not self._told:
            self.transmit(self._protocol.close_frame(close))
        self.close(close)
        self._flush()
        self._link.finish()

    def _conclude(self) -> None:
        """The protocol has ended the connection."""
        self._over = True
        self._partial = None
        rcvd, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if rcvd is not None:
            self.close(Close(int(rcvd.code), rcvd.reason, origin=Origin.PEER))
        elif sent is not None:
            self.close(Close(int(sent.code), sent.reason))
        self._flush()
        if rcvd is not None:
            self._link.close()
        else:
            self._link.finish()

    def _flush(self) -> None:
        """Write what was gathered, and gather no more."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._write_batch(batch)

    def _write_batch(self, batch: _Batch) -> None:
        parts = batch.parts
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            batch.parts = []
            batch.size = 0
            self._link.write(data)


class _Batch:
    """What is sent while something from the client is being handled."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0


class _Held:
    """What arrived and is not delivered, because reading is paused."""

    __slots__ = ("answers", "data", "frames")

    def __init__(
        self, data: bytes, frames: _Frames | None = None, answers: _Answers | None = None
    ) -> None:
        self.data = bytearray(data)
        self.frames: _Frames = frames if frames is not None else iter(())
        self.answers: _Answers = answers if answers is not None else iter(())
