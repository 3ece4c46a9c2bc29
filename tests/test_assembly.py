"""Parts that do not fit together are refused with one sentence that says what to type."""

from __future__ import annotations

from typing import Any

import pytest

from unisock.assembly import choose_adapter
from unisock.capabilities import Capabilities
from unisock.config import Settings
from unisock.errors import ConfigError, NotInstalled, Unsupported
from unisock.memory import MemoryAdapter
from unisock.server import Server


class Narrow(MemoryAdapter):
    """Brings text-only sessions of its own, and nothing else."""

    name = "narrow"
    capabilities = Capabilities(
        backends=("asyncio",), sessions=("pigeon",), binary=False, tls=False, unix=False
    )


class Bare(MemoryAdapter):
    name = "bare"
    capabilities = Capabilities()


def refusal(adapter: MemoryAdapter | str = "memory", **settings: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Server(folder=None, adapter=adapter, **settings).check()
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("adapter", "settings", "what", "sentence"),
    [
        (
            Narrow(),
            {"backend": "trio"},
            "trio",
            "the adapter 'narrow' runs on asyncio, not on trio; set backend = \"asyncio\"",
        ),
        (
            Narrow(),
            {"listen": {"unix": "s"}},
            "unix",
            "the adapter 'narrow' cannot listen with unix; remove listen.unix",
        ),
        (
            MemoryAdapter(),
            {"listen": {"tls": {"certificate": "c"}}},
            "tls",
            "the adapter 'memory' cannot listen with tls; remove listen.tls",
        ),
        (
            Narrow(),
            {"endpoints": [{"path": "/a", "codec": "msgpack"}]},
            "msgpack",
            "endpoint /a: the codec 'msgpack' needs binary messages, and the sessions of the "
            "adapter 'narrow' carry text only; use codec = \"json\"",
        ),
    ],
)
def test_what_an_adapter_cannot_do(
    adapter: MemoryAdapter, settings: Any, what: str, sentence: str
) -> None:
    error = refusal(adapter, **settings)
    assert isinstance(error, Unsupported)
    assert str(error) == sentence
    assert (error.what, error.who) == (what, adapter.name)


def test_a_protocol_that_the_adapter_cannot_carry_names_those_that_can() -> None:
    error = refusal(Narrow(), endpoints=[{"path": "/a", "protocol": "websocket"}])
    assert isinstance(error, Unsupported)
    assert str(error).startswith(
        "endpoint /a asks for the protocol 'websocket', which needs websocket; "
        "the adapter 'narrow' does not offer that. These do: "
    )
    assert "memory" in str(error)
    assert "Try --adapter " in str(error)
    assert "--adapter memory" not in str(error)  # it has no port: `run` would refuse it
    assert (error.what, error.who) == ("websocket", "narrow")


def test_the_default_protocol_is_what_the_adapter_brings() -> None:
    gateway = Server(folder=None, adapter=Narrow(), endpoints=[{"path": "/a"}]).check()
    assert [gate.endpoint.path for gate in gateway.gates] == ["/a"]
    assert not gateway.owns("/a")  # requests to it are the adapter's own business
    assert Server(folder=None, adapter="memory").check().owns("/ws")
    assert isinstance(refusal(Bare()), Unsupported)


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("protocol", "websockets", "Did you mean 'websocket'?"),
        ("dialect", "plane", "Did you mean 'plain'?"),
        ("codec", "yaml", "pip install unisock-yaml"),
    ],
)
def test_a_part_that_is_not_installed(kind: str, name: str, hint: str) -> None:
    error = refusal(endpoints=[{"path": "/a", kind: name}])
    assert isinstance(error, NotInstalled)
    assert str(error).startswith(f"endpoint /a: no {kind} '{name}' is installed; there is: ")
    assert hint in str(error)
    assert (error.kind, error.name) == (kind, name)


def test_an_adapter_that_is_not_installed() -> None:
    error = refusal("memry")
    assert isinstance(error, NotInstalled)
    assert "Did you mean 'memory'?" in str(error)


def test_an_adapter_without_options_says_what_to_remove() -> None:
    with pytest.raises(Unsupported, match=r"no options; remove \[options\.memory\]"):
        choose_adapter(Settings(adapter="memory", options={"memory": {"x": 1}}))
    error = refusal(Narrow(), options={"narrow": {"x": 1}})
    assert "made in code" in str(error)


def test_options_that_are_for_nobody_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    Server(folder=None, adapter="memory", options={"memroy": {"x": 1}}).check()
    assert "[options.memroy] is ignored" in caplog.text


@pytest.mark.parametrize("table", ["limits", "heartbeat"])
def test_an_endpoints_own_values(table: str) -> None:
    name = {"limits": "message_bytes", "heartbeat": "interval"}[table]
    general_values: dict[str, Any] = {table: {name: 9}}
    server = Server(
        folder=None,
        adapter="memory",
        endpoints=[{"path": "/a", table: {name: 7}}, {"path": "/b"}],
        **general_values,
    )
    own, general = server.check().gates
    assert getattr(getattr(own, table), name) == 7
    assert getattr(getattr(general, table), name) == 9
    error = refusal(endpoints=[{"path": "/a", table: {name: -1}}])
    assert f"endpoint /a: {table}" in str(error)
    assert name in str(error)


def test_to_check_a_configuration_serves_nobody() -> None:
    server = Server(folder=None, adapter="memory", plugins=[])
    server.check()
    server.check()
    with pytest.raises(ConfigError, match="async with server"):
        _ = server.gateway
