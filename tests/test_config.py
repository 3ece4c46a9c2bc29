"""The settings: where they come from, which one wins, and what a slip of the pen is told."""

import re
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.config import Endpoint, Listen, Settings, Source, Tls, load, read_sources
from unisock.errors import ConfigError
from unisock.limits import Overflow
from unisock.server import Server
from unisock.testing.certificates import Certificates


def wrong(table: Any, source: str = "unisock.toml") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load([(source, table)])
    return caught.value


def test_an_empty_configuration_is_a_whole_one() -> None:
    settings = load([])
    assert settings == Settings()
    assert (settings.adapter, settings.backend) == ("websockets", "asyncio")
    assert str(settings.listen.host) == "127.0.0.1"  # nobody is on the internet by accident


# Precedence


def test_sources_in_rising_order(tmp_path: Path) -> None:
    """Each setting is given by one source less, so each source wins once."""

    def table(count: int) -> str:
        names = ["host", "backlog", "unix", "port"][:count]
        return "\n".join(f"{name} = {value(name, count)}" for name in names)

    def value(name: str, count: int) -> str:
        return str(count) if name in ("backlog", "port") else f'"{count}"'

    (tmp_path / "unisock.toml").write_text("[listen]\n" + table(4))
    (tmp_path / "pyproject.toml").write_text("[tool.unisock.listen]\n" + table(3))
    environ = {"UNISOCK_LISTEN_HOST": "env", "UNISOCK_LISTEN_BACKLOG": "77"}
    sources = read_sources(tmp_path, environ)
    assert load(sources).listen == Listen(host="env", backlog=77, unix="3", port=4)
    keywords: Source = ("Server(…)", {"listen": {"host": "kwargs", "port": 5}})
    command: Source = ("command line", {"listen": {"host": "cli"}})
    listen = load([*sources, keywords, command]).listen
    assert listen == Listen(host="cli", backlog=77, unix="3", port=5)


def test_the_same_through_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unisock.toml").write_text('adapter = "toml"\nbackend = "trio"')
    monkeypatch.setenv("UNISOCK_ADAPTER", "env")
    assert Server(folder=tmp_path).settings.adapter == "env"
    server = Server(folder=tmp_path, adapter="kwargs")
    assert (server.settings.adapter, server.settings.backend) == ("kwargs", "trio")
    server.override("command line", {"adapter": "cli"})
    assert server.settings.adapter == "cli"
    assert Server(folder=None).settings == Server(folder=None).settings
    assert Server(folder=None).settings.adapter == "websockets"


def test_tables_are_merged_and_values_replaced() -> None:
    settings = load(
        [
            ("a", {"origins": ["https://a.com"], "options": {"x": {"deep": {"a": 1, "b": 1}}}}),
            ("b", {"origins": ["https://b.com"], "options": {"x": {"deep": {"b": 2}}, "y": {}}}),
        ]
    )
    assert settings.origins == ("https://b.com",)
    assert settings.options == {"x": {"deep": {"a": 1, "b": 2}}, "y": {}}


def test_sources_are_left_as_they_were() -> None:
    first = {"listen": {"port": 1}, "endpoints": [{"path": "/a", "limits": {"fragments": 1}}]}
    second = {"listen": {"port": 2}, "endpoints": [{"path": "/a", "limits": {"fragments": 2}}]}
    load([("a", first), ("b", second)])
    assert first["listen"] == {"port": 1}
    assert first["endpoints"] == [{"path": "/a", "limits": {"fragments": 1}}]


def test_endpoints_are_merged_by_their_path() -> None:
    settings = load(
        [
            ("file", {"endpoints": [{"path": "/a", "codec": "raw"}, {"path": "/b"}]}),
            ("code", {"endpoints": [{"path": "/c"}, {"path": "/a", "dialect": "other"}]}),
        ]
    )
    assert [endpoint.path for endpoint in settings.endpoints] == ["/a", "/b", "/c"]
    assert settings.endpoints[0] == Endpoint(path="/a", codec="raw", dialect="other")


# The environment


def environment_names(table: Any = Settings, prefix: str = "UNISOCK") -> list[str]:
    """The names by the rule in the documentation, not by the code that reads them."""
    found: list[str] = []
    for name, kind in table.__annotations__.items():
        found.append(f"{prefix}_{name}".upper())
        for word in re.findall(r"\w+", kind):
            nested = {"Listen": Listen, "Tls": Tls}.get(word)
            found += environment_names(nested, found[-1]) if nested else []
    return found


@pytest.mark.parametrize("name", environment_names())
def test_every_setting_has_a_variable(name: str, tmp_path: Path) -> None:
    [(source, table)] = read_sources(tmp_path, {name: "7"})
    assert source == name
    path: list[str] = []
    while isinstance(table, dict):
        [(key, table)] = table.items()
        path.append(key)
    assert "_".join(["UNISOCK", *path]).upper() == name
    assert table in ("7", 7, ["7"])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("UNISOCK_LISTEN_PORT", "0", {"listen": Listen(port=0)}),
        ("UNISOCK_LIMITS_CLOSE_SECONDS", "1.5", {}),
        ("UNISOCK_PLUGINS", "rooms, emitter ,", {"plugins": ("rooms", "emitter")}),
        ("UNISOCK_PLUGINS", "", {"plugins": ()}),
        ("UNISOCK_PLUGINS", '["rooms"]', {"plugins": ("rooms",)}),
        ("UNISOCK_ORIGINS", "https://a.com,*", {"origins": ("https://a.com", "*")}),
        ("UNISOCK_OVERFLOW", "drop-oldest", {"overflow": Overflow.DROP_OLDEST}),
        ("UNISOCK_ENDPOINTS", '[{"path": "/x"}]', {"endpoints": (Endpoint(path="/x"),)}),
        ("UNISOCK_OPTIONS", '{"tornado": {"a": 1}}', {"options": {"tornado": {"a": 1}}}),
        ("UNISOCK_LISTEN_UNIX", "[odd.sock", {"listen": Listen(unix="[odd.sock")}),
    ],
)
def test_values_of_variables(
    name: str, text: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    settings = load(read_sources(tmp_path, {name: text, "HOME": "/", "UNISOCKET": "x"}))
    for key, value in expected.items():
        assert getattr(settings, key) == value


def test_a_password_may_look_like_json(tmp_path: Path) -> None:
    environ = {
        "UNISOCK_LISTEN_TLS_CERTIFICATE": "c.pem",
        "UNISOCK_LISTEN_TLS_PASSWORD": '{"secret',
    }
    tls = load(read_sources(tmp_path, environ)).listen.tls
    assert tls == Tls(certificate="c.pem", password='{"secret')


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("UNISOCK_ADAPTOR", "x", r"UNISOCK_ADAPTOR: .*did you mean UNISOCK_ADAPTER\?"),
        ("UNISOCK_LISTEN_PROT", "1", r"did you mean UNISOCK_LISTEN_PORT\?"),
        ("UNISOCK_LISTEN_PORT", "eighty", r"UNISOCK_LISTEN_PORT: listen.port: Expected `int`"),
        ("UNISOCK_PLUGINS", '["rooms"', r"UNISOCK_PLUGINS: .*not JSON"),
        ("UNISOCK_ENDPOINTS", "/ws", r"UNISOCK_ENDPOINTS: endpoints: Expected `array`"),
        ("UNISOCK_LISTEN_TLS_KEY", "k.pem", r"listen.tls: .*certificate"),
    ],
)
def test_a_variable_that_means_nothing(name: str, text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        load(read_sources(tmp_path, {name: text}))


# What errors say


@pytest.mark.parametrize(
    ("table", "key", "told"),
    [
        ({"adaptor": "x"}, "adaptor", "did you mean adapter?"),
        ({"listen": {"prot": 1}}, "listen.prot", "did you mean port?"),
        ({"listen": {"tls": {"certificat": "x"}}}, "listen.tls.certificat", "certificate?"),
        ({"limits": {"mesage_bytes": 1}}, "limits.mesage_bytes", "message_bytes?"),
        ({"endpoints": [{"path": "/"}, {"path": "/a", "codek": "x"}]}, "endpoints[1].codek", "?"),
        (
            {"endpoints": [{"path": "/", "limits": {"fragmens": 1}}]},
            "endpoints[0].limits.fragmens",
            "did you mean fragments?",
        ),
        (
            {"endpoints": [{"path": "/", "heartbeat": {"intervall": 1}}]},
            "endpoints[0].heartbeat.intervall",
            "did you mean interval?",
        ),
        ({"zzz": 1}, "zzz", "no such setting"),
        ({"listen": {"port": "x"}}, "listen.port", "Expected `int`"),
        ({"listen": {"port": 65536}}, "listen.port", "from 0 to 65535"),
        ({"listen": {"port": -1}}, "listen.port", "from 0 to 65535"),
        ({"listen": {"tls": {"key": "x"}}}, "listen.tls", "certificate"),
        ({"listen": 5}, "listen", "Expected `object`"),
        ({"backend": "curio"}, "backend", "choose asyncio or trio"),
        ({"overflow": "explode"}, "overflow", "drop-oldest"),
        ({"limits": {"close_seconds": 0}}, "limits.close_seconds", "more than 0"),
        ({"heartbeat": {"timeout": -1}}, "heartbeat.timeout", "more than 0"),
        ({"drain_seconds": -1}, "drain_seconds", "0 or more"),
        ({"drain_seconds": float("nan")}, "drain_seconds", "0 or more"),
        ({"origins": ["example.com"]}, "origins", "https://example.com"),
        ({"origins": ["https://a.com/"]}, "origins", "https://example.com"),
        ({"endpoints": [{"path": "/", "origins": ["x"]}]}, "endpoints[0].origins", "https://"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies", "host bits"),
        ({"trusted_proxies": ["proxy"]}, "trusted_proxies", "proxy"),
        ({"plugins": "rooms"}, "plugins", "Expected `array`"),
        ({"endpoints": {"path": "/"}}, "endpoints", "Expected `array`"),
        ({"endpoints": "/ws"}, "endpoints", "Expected `array`"),
        ({"endpoints": [1]}, "endpoints[0]", "Expected `object`"),
        ({"endpoints": [{"codec": "raw"}]}, "endpoints[0]", "path"),
        ({"endpoints": [{"path": "/a"}, {"path": "/a"}]}, "endpoints", "/a is there twice"),
        ({"endpoints": [{"path": "ws"}]}, "endpoints[0]", "begins with /"),
        ({"endpoints": [{"path": "/ws?x"}]}, "endpoints[0]", "no ?"),
        ({"endpoints": [{"path": "/ws/"}]}, "endpoints[0]", "write /ws"),
        (
            {"endpoints": [{"path": "/", "limits": {"connections": 1}}]},
            "endpoints[0].limits",
            "set it in [limits]",
        ),
    ],
)
def test_an_error_names_key_source_and_remedy(table: Any, key: str, told: str) -> None:
    error = wrong(table)
    assert error.key == key
    assert error.source == "unisock.toml"
    assert str(error).startswith(f"unisock.toml: {key}: ")
    assert told in str(error)
    assert "\n" not in str(error)


def test_the_source_at_fault_is_named() -> None:
    good: Source = ("unisock.toml", {"listen": {"port": 1}})
    with pytest.raises(ConfigError) as caught:
        load([good, ("Server(…)", {"listen": {"prot": 1}}), ("command line", {"adapter": "x"})])
    assert caught.value.source == "Server(…)"
    assert str(caught.value).startswith("Server(…): listen.prot: ")


def test_a_table_may_be_complete_only_together() -> None:
    tls = load(
        [
            ("unisock.toml", {"listen": {"tls": {"key": "k.pem"}}}),
            ("command line", {"listen": {"tls": {"certificate": "c.pem"}}}),
        ]
    ).listen.tls
    assert tls == Tls(certificate="c.pem", key="k.pem")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("unisock.toml", b"adapter = "),
        ("unisock.toml", b"adapter = '\xff'"),
        ("unisock.toml", b"a = " + b"[" * 10_000),
        ("pyproject.toml", b"= = ="),
        ("pyproject.toml", b"[tool]\nunisock = 5"),
    ],
)
def test_a_file_that_is_none_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name) as caught:
        load(read_sources(tmp_path, {}))
    assert "\n" not in str(caught.value)


def test_text_without_quotes_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "unisock.toml").write_text("adapter = tornado")
    with pytest.raises(ConfigError, match=r"line 1, column 11.*; text needs quotes"):
        read_sources(tmp_path, {})


def test_the_pyproject_of_others_says_nothing(tmp_path: Path) -> None:
    for content in ("", "tool = 5", "[tool.black]\nline-length = 1", "[project]\nname = 'x'"):
        (tmp_path / "pyproject.toml").write_text(content)
        assert read_sources(tmp_path, {}) == []


def test_path_objects_are_welcome_and_strangers_are_not(tmp_path: Path) -> None:
    server = Server(folder=None, listen={"unix": tmp_path / "s"})
    assert server.settings.listen.unix == str(tmp_path / "s")
    assert Server(folder=None, listen=Listen(port=0)).settings.listen.port == 0
    with pytest.raises(ConfigError, match=r"listen: .*object"):
        Server(folder=None, listen=object())


def test_a_table_that_is_none_is_named() -> None:
    assert "must be a table" in str(wrong([], "pyproject.toml"))


# TLS files


def test_tls_files_that_fit(tmp_path: Path) -> None:
    files = Certificates().write(tmp_path)
    assert Tls(**files).context().verify_mode is ssl.CERT_NONE
    demanding = Tls(**files, client_ca=files["certificate"]).context()
    assert demanding.verify_mode is ssl.CERT_REQUIRED


def test_tls_files_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"listen\.tls: .*absent\.pem") as caught:
        Tls(certificate=str(tmp_path / "absent.pem")).context()
    assert caught.value.key == "listen.tls"
    (tmp_path / "not.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"not\.pem") as caught:
        Tls(certificate=str(tmp_path / "not.pem")).context()
    assert isinstance(caught.value.__cause__, ssl.SSLError)


keys = st.sampled_from([*Settings.__struct_fields__, *Listen.__struct_fields__, "path", "x"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(anything, max_size=3))
def test_no_data_makes_another_error(tables: list[Any]) -> None:
    sources = [(f"source {number}", table) for number, table in enumerate(tables)]
    blamed = ""
    try:
        settings = load(sources)
        assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings
    except ConfigError as error:
        blamed = error.source
    assert blamed in ("", *(source for source, _ in sources))
