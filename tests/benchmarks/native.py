"""`load.c` as a library: compiled when it is needed, and called through ctypes.

`limit.c`, the server that shows what is possible, is compiled here too.
"""

import ctypes
import hashlib
import os
import shutil
import socket
import subprocess
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

from .load import Load, LoadError, PythonLoad, Step

__all__ = ["NativeLoad", "best_load", "compiled"]

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "benchmarks"

FAULTS = {
    -1: "the server has stopped answering",
    -2: "the server has hung up",
    -3: "more came than was to come",
    -4: "the server refused a connection, or closed it too early",
    -5: "the system refused a socket or a poll",
}


def compiled(source: Path, *flags: str) -> Path | None:
    """The program or library of a C file; `None` where there is no C compiler.

    :raises LoadError: it does not compile
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    digest = hashlib.sha256(source.read_bytes() + repr(flags).encode()).hexdigest()[:16]
    target = CACHE / f"{source.stem}-{digest}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(f".{os.getpid()}")
        made = subprocess.run([compiler, "-O2", *flags, "-o", str(new), str(source)])
        if made.returncode:
            raise LoadError(f"{compiler} cannot compile {source.name}: see its message above")
        new.replace(target)
    return target


def best_load() -> Load:
    """The one in C if it can be had."""
    library = compiled(HERE / "load.c", "-shared", "-fPIC")
    return PythonLoad() if library is None else NativeLoad(library)


class _Source(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Step(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_char_p),
        ("awaited", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("awaited_size", ctypes.c_size_t),
    )


class NativeLoad(Load):
    """In C.

    :param library: `load.c`, compiled
    """

    name = "C"

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        numbers, size = ctypes.c_void_p, ctypes.c_size_t
        whole, real = ctypes.c_int, ctypes.c_double
        text, many = ctypes.c_char_p, ctypes.c_longlong
        for name, arguments in {
            "closed": (numbers, whole, text, size, whole, size, real),
            "lockstep": (ctypes.c_void_p, whole, numbers, whole, many, real),
            "paced": (numbers, whole, text, size, size, real, real, ctypes.c_void_p, many),
            "churn": (whole, ctypes.c_void_p, whole, whole, real),
        }.items():
            function = getattr(self._library, name)
            function.argtypes = arguments
            function.restype = ctypes.c_longlong

    def closed(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        depth: int,
        reply: int,
        until: float,
    ) -> int:
        return _checked(
            self._library.closed(
                *_numbers(clients), message * depth, len(message), depth, reply, until
            )
        )

    def lockstep(
        self,
        sources: Sequence[tuple[socket.socket, bytes]],
        sinks: Sequence[socket.socket],
        size: int,
        until: float,
    ) -> int:
        given = (_Source * len(sources))(
            *(_Source(source.fileno(), data, len(data)) for source, data in sources)
        )
        return _checked(self._library.lockstep(given, len(sources), *_numbers(sinks), size, until))

    def paced(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        reply: int,
        rate: float,
        until: float,
    ) -> Sequence[float]:
        planned = int(rate * max(0.0, until - time.perf_counter())) + 1
        trips = (ctypes.c_double * planned)()
        done = _checked(
            self._library.paced(
                *_numbers(clients), message, len(message), reply, rate, until, trips, len(trips)
            )
        )
        return trips[:done]

    def churn(self, port: int, steps: Sequence[Step], slots: int, until: float) -> int:
        given = (_Step * len(steps))(
            *(_Step(one.send, one.awaited, len(one.send), len(one.awaited)) for one in steps)
        )
        return _checked(self._library.churn(port, given, len(steps), slots, until))


def _numbers(clients: Sequence[socket.socket]) -> tuple[ctypes.Array[ctypes.c_int], int]:
    numbers = array("i", [client.fileno() for client in clients])
    return (ctypes.c_int * len(numbers)).from_buffer(numbers), len(numbers)


def _checked(result: int) -> int:
    """What a function gave back.

    :raises LoadError: it was a fault
    """
    if result < 0:
        raise LoadError(FAULTS[result])
    return result
