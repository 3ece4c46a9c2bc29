# cython: language_level=3
"""The way of a message in C: what `unisock_picows.ear` and `unisock_picows.outlet` are in Python.

Whoever changes one of the two changes the other; the tests run on both.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from .fragments import not_utf8
from .outlet import FRAMING, LARGE as _LARGE, MANY as _MANY

__all__ = ["PICOWS", "Ear", "Outlet"]

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

cdef extern from *:
    const char* PICOWS_VERSION

PICOWS = PICOWS_VERSION.decode()

cdef Py_ssize_t LARGE = _LARGE
cdef Py_ssize_t MANY = _MANY
cdef Py_ssize_t LONG = 512
cdef object make_frame = FRAMING.frame
cdef object make_parts = FRAMING.parts


cdef bytes frame_of(unsigned char first, const char* payload, Py_ssize_t size):
    """A frame that is whole, and not masked (RFC 6455 section 5.2)."""
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 65536 else 10
    cdef Py_ssize_t place
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, head + size)
    cdef unsigned char* to = <unsigned char*> PyBytes_AS_STRING(frame)
    to[0] = first
    if head == 2:
        to[1] = <unsigned char> size
    else:
        to[1] = 126 if head == 4 else 127
        for place in range(2, head):
            to[place] = <unsigned char> (size >> 8 * (head - 1 - place))
    memcpy(to + head, payload, size)
    return frame


cdef str text_of(const char* payload, Py_ssize_t size):
    """A text from its UTF-8. Long ones are looked through first: a loop that the compiler makes
    wide finds out five times as fast as Python's decoder that all of it is ASCII.
    """
    cdef unsigned char seen = 0
    cdef Py_ssize_t place
    cdef str text
    if size < LONG:
        return PyUnicode_DecodeUTF8(payload, size, NULL)
    for place in range(size):
        seen |= <unsigned char> payload[place]
    if seen >= 0x80:
        return PyUnicode_DecodeUTF8(payload, size, NULL)
    text = PyUnicode_New(size, 127)
    memcpy(<char*> PyUnicode_DATA(text), payload, size)
    return text


cdef class Outlet:
    """See `unisock_picows.outlet.Outlet`."""

    cdef public bint gathering
    cdef public list batch
    cdef public object put_out
    cdef public object transport
    cdef public object turn
    cdef object spoke

    def __init__(self, transport, turn):
        self.transport = transport
        self.put_out = transport.write
        self.turn = turn
        self.gathering = False
        self.batch = []

    def write(self, message):
        cdef Py_ssize_t size
        cdef bytes frame
        if isinstance(message, str) and PyUnicode_IS_COMPACT_ASCII(message):
            size = PyUnicode_GET_LENGTH(message)
            frame = frame_of(0x81, PyUnicode_DATA(message), size)
            if size > LARGE:
                self._flush()
                self.put_out(frame)
                return
        elif isinstance(message, bytes) and PyBytes_GET_SIZE(message) <= LARGE:
            frame = frame_of(0x82, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
        elif len(message) <= LARGE:
            frame = make_frame(message)
        else:
            parts = make_parts(message)
            self._flush()
            self.transport.writelines(parts)
            return
        self._transmit(frame)

    def transmit(self, bytes frame not None):
        self._transmit(frame)

    def flush(self):
        self._flush()

    cdef int _transmit(self, bytes frame) except -1:
        cdef list batch = self.batch
        if not self.gathering:
            turn = self.turn
            mark = turn.mark
            if not batch and (mark is None or not (turn.whole or self.spoke is mark)):
                self.spoke = mark
                if mark is None:
                    turn.count()
                self.put_out(frame)
                return 0
            if not batch:
                turn.flush_later(self)
        batch.append(frame)
        if PyBytes_GET_SIZE(frame) > LARGE or len(batch) >= MANY:
            self._flush()
        return 0

    cdef int _flush(self) except -1:
        cdef list batch = self.batch
        if batch:
            data = batch[0] if len(batch) == 1 else b"".join(batch)
            batch.clear()
            self.put_out(data)
        return 0


cdef class Ear(WSListener):
    """See `unisock_picows.ear.Ear`."""

    cdef public object crowd
    cdef public object parser
    cdef public object connection
    cdef public Outlet outlet
    cdef public bint plain
    cdef public bint spent
    cdef public Py_ssize_t size

    def __init__(self, crowd, Py_ssize_t size):
        self.crowd = crowd
        self.size = size
        self.plain = self.spent = False

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef Outlet outlet = self.outlet
        cdef WSMsgType kind = frame.msg_type
        connection = self.connection
        outlet.gathering = True
        if not frame.last_in_buffer and not outlet.turn.busy:
            outlet.turn.gather()
        if not (self.plain and frame.fin) or frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._on_other_frame(kind, frame)
        elif kind == WSMsgType.TEXT:
            try:
                text = text_of(frame.payload_ptr, frame.payload_size)
            except UnicodeDecodeError:
                connection.on_fault(not_utf8())
            else:
                connection.receiver.on_message(text)
        elif kind == WSMsgType.BINARY:
            connection.receiver.on_message(frame.get_payload_as_bytes())
        else:
            self._on_other_frame(kind, frame)
        if frame.last_in_buffer:
            connection.heard = True
            outlet.gathering = False
            outlet._flush()
            if self.crowd.crowded and not frame.tail_size:
                connection.doze(idle=False)

    cdef int _on_other_frame(self, WSMsgType kind, WSFrame frame) except -1:
        cdef int bits = frame.fin << 7 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4
        connection = self.connection
        if kind == WSMsgType.CLOSE:
            self.spent = True
        connection.on_frame(bits | <int> kind, frame.get_payload_as_bytes())
        if kind == WSMsgType.PONG and self.plain and not frame.tail_size:
            connection.doze(idle=True)
        return 0

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.connection.lost()

    cpdef pause_writing(self):
        self.connection.congested()

    cpdef resume_writing(self):
        self.connection.relieved()
