"""The shipped conformance suite, on this adapter: on uvloop, and on the loop of the library;
with its parts in C, where they are built, and in Python."""

from typing import Any, ClassVar

from unisock.testing.adapters import AdapterSuite

UVLOOP: Any = ("asyncio", {"use_uvloop": True})


class TestOnAsyncio(AdapterSuite):
    adapter = "picows"


class TestOnUvloop(AdapterSuite):
    adapter = "picows"
    backends = (UVLOOP,)


class TestLean(TestOnUvloop):
    options: ClassVar = {"lean": True}


class TestInPython(TestOnUvloop):
    options: ClassVar = {"native": False}
