"""What adapters can do: a closed set of flags, each of them explained."""

import inspect
import re

import pytest

from unisock.capabilities import Capabilities
from unisock.memory import MemoryAdapter


def test_the_least_adapter_claims_nothing_that_it_must_prove() -> None:
    least = Capabilities()
    assert not least.websocket
    assert not least.http
    assert not least.mount
    assert not least.compression
    assert least.sessions == ()


def test_a_flag_cannot_be_invented() -> None:
    with pytest.raises(TypeError, match="teleport"):
        Capabilities(teleport=True)  # pyright: ignore[reportCallIssue]


def test_flags_cannot_change_behind_the_servers_back() -> None:
    with pytest.raises(AttributeError):
        MemoryAdapter.capabilities.websocket = False  # pyright: ignore[reportAttributeAccessIssue]


def test_flags_say_what_they_mean() -> None:
    source = inspect.getsource(Capabilities)
    explained = re.findall(r'(\w+): .+\n    """', source)
    plain = {"tls", "unix"}  # the words are the explanation
    assert {*explained} | plain == {*Capabilities.__struct_fields__}
