"""Parts looked up by name: what a third party installs is found like our own."""

import sys
from pathlib import Path
from typing import get_args

import pytest

from unisock.assembly import choose_adapter
from unisock.codecs import RawCodec
from unisock.config import Settings
from unisock.errors import ConfigError, NotInstalled
from unisock.registry import Kind, installed, is_there, look_up, offer
from unisock.server import Server

KINDS: tuple[Kind, ...] = get_args(Kind)

MODULE = """
from unisock.abc import Adapter, Connector, Dialect
from unisock.capabilities import Capabilities
from unisock.codecs import RawCodec
from unisock.memory import MemoryAdapter
from unisock.plain import PlainDialect
from unisock.websocket import WebSocketProtocol

class TinyAdapter(MemoryAdapter):
    name = "tiny"

class TinyProtocol(WebSocketProtocol):
    name = "tiny"

class TinyDialect(PlainDialect):
    name = "tiny"

class TinyCodec(RawCodec):
    name = "tiny"

    def decode(self, message):
        return f"tiny {message}"

class TinyConnector(Connector):
    name = "tiny"

    async def connect(self, call, gate):
        raise ConnectionRefusedError

class TinyCommand:
    pass

class TinyPlugin:
    def __init__(self, size=1):
        self.size = size
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one part of each kind, installed as pip would have it."""
    info = tmp_path / "unisock_tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unisock-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[unisock.{kind}s]\ntiny = tiny_parts:Tiny{kind.title()}\n"
            f"broken = tiny_broken:X\nmissing = tiny_parts:Nothing\n"
            for kind in KINDS
        )
    )
    (tmp_path / "tiny_parts.py").write_text(MODULE)
    (tmp_path / "tiny_broken.py").write_text("import no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_parts", raising=False)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("tiny")
def test_a_third_party_is_found(kind: Kind) -> None:
    assert "tiny" in installed(kind)
    assert "tiny_parts" not in sys.modules  # a list of names imports nobody
    assert look_up(kind, "tiny").__name__ == f"Tiny{kind.title()}"


@pytest.mark.anyio
@pytest.mark.usefixtures("tiny")
async def test_a_third_partys_parts_work_together() -> None:
    server = Server(
        folder=None,
        adapter="tiny",
        plugins=["tiny"],
        endpoints=[{"path": "/ws", "protocol": "tiny", "dialect": "tiny", "codec": "tiny"}],
        options={"tiny": {}},
    )
    heard: list[object] = []
    server.on_message(lambda spark, message: heard.append(message))
    async with server:
        assert type(server.adapter).__name__ == "TinyAdapter"
        assert type(server.plugins.find(look_up("plugin", "tiny"))).__name__ == "TinyPlugin"
        gate = server.gateway.gates[0]
        assert gate.endpoint.codec == "tiny"
        assert look_up("codec", "tiny")().decode("x") == "tiny x"


@pytest.mark.usefixtures("tiny")
def test_options_reach_a_plugin_that_was_found_by_name() -> None:
    kind = look_up("plugin", "tiny")
    assert (
        Server(folder=None, plugins=["tiny"], options={"tiny": {"size": 3}}).plugin(kind).size == 3
    )
    server = Server(folder=None, plugins=["tiny"], options={"tiny": {"sise": 3}})
    with pytest.raises(ConfigError, match=r"options\.tiny: .*sise"):
        server.plugin(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_look_up_says_what_is_there_and_what_to_type(kind: Kind) -> None:
    with pytest.raises(NotInstalled) as caught:
        look_up(kind, "Quux")
    error = caught.value
    assert (error.kind, error.name) == (kind, "Quux")
    assert error.installed == installed(kind)
    assert str(error).startswith(f"no {kind} 'Quux' is installed; there is: ")
    assert all(name in str(error) for name in installed(kind))
    assert "pip install unisock-quux" in str(error)


def test_a_slip_of_the_pen_is_set_right() -> None:
    with pytest.raises(NotInstalled, match=r"Did you mean 'memory'\?"):
        look_up("adapter", "memroy")
    with pytest.raises(NotInstalled, match=r"Did you mean 'json'\?"):
        look_up("codec", "jsn")


@pytest.mark.parametrize("name", ["broken", "missing"])
@pytest.mark.usefixtures("tiny")
def test_a_package_that_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' of unisock-tiny cannot be imported"):
        look_up("plugin", name)
    assert name in installed("plugin")


def test_our_own_parts_are_found() -> None:
    assert installed("codec") == ("json", "msgpack", "raw", "text")
    assert "memory" in installed("adapter")
    assert choose_adapter(Settings(adapter="memory")).name == "memory"


def test_a_class_of_the_program_is_found_by_its_name_but_is_not_installed() -> None:
    class Tidy(RawCodec):
        name = "tests-tidy"

    offer("codec", Tidy.name, Tidy)
    assert look_up("codec", "tests-tidy") is Tidy
    assert "tests-tidy" not in installed("codec")
    assert is_there("codec", "tests-tidy")
    assert not is_there("dialect", "tests-tidy")


def test_a_name_belongs_to_one_class_of_the_program() -> None:
    class First(RawCodec):
        pass

    class Second(RawCodec):
        pass

    offer("codec", "tests-first", First)
    with pytest.raises(ConfigError, match=r"First of .*test_registry already; give .*Second"):
        offer("codec", "tests-first", Second)
    assert look_up("codec", "tests-first") is First


def test_a_class_that_is_defined_anew_takes_the_place_of_the_old() -> None:
    def define() -> type[RawCodec]:
        class Again(RawCodec):
            pass

        return Again

    old, new = define(), define()
    offer("codec", "tests-again", old)
    offer("codec", "tests-again", new)
    assert look_up("codec", "tests-again") is new


def test_packages_that_come_and_go_meanwhile_are_noticed(tiny: Path) -> None:
    assert "tiny" in installed("codec")
    (tiny / "unisock_tiny-1.0.dist-info").rename(tiny / "aside")
    assert "tiny" not in installed("codec")
    with pytest.raises(NotInstalled):
        look_up("codec", "tiny")
    (tiny / "aside").rename(tiny / "unisock_tiny-1.1.dist-info")
    assert "tiny" in installed("codec")
    assert look_up("codec", "tiny").__name__ == "TinyCodec"


def test_the_first_package_on_the_path_has_the_name(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path_factory.mktemp("first")
    info = first / "unisock_first-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unisock-first\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unisock.codecs]\ntiny = unisock.codecs:RawCodec\n")
    monkeypatch.syspath_prepend(first)
    assert look_up("codec", "tiny") is RawCodec
    assert look_up("dialect", "tiny").__name__ == "TinyDialect"


@pytest.mark.usefixtures("tiny")
def test_looking_up_again_opens_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of each installed package would be read for each part of each server."""
    for _ in range(2):  # the first leaves a cache of bytecode in the folder
        assert look_up("codec", "tiny")().name == "tiny"

    def no_reading(*args: object, **options: object) -> object:
        raise AssertionError("the packages are read again")

    monkeypatch.setattr("importlib.metadata.Distribution.discover", no_reading)
    for kind in KINDS:
        assert look_up(kind, "tiny").__name__ == f"Tiny{kind.title()}"
        assert "tiny" in installed(kind)
