"""The documentation is true: tables and signatures match the code, and every snippet runs."""

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import unisock_engineio.options
import unisock_eventsource.protocol
import unisock_primus.options
import unisock_socketio.options
import unisock_sockjs.connector
import unisock_sockjs.options
from unisock import Capabilities, ConfigError, Heartbeat, Limits, Overflow, UnisockError, errors
from unisock import hookspecs as hooks
from unisock.config import Endpoint, Listen, Settings, Tls, load
from unisock.registry import installed, look_up
from unisock.testing.protocols import ProtocolTests, Way

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("*/*/README.md")), *sorted(DOCS.rglob("*.md"))]


def rows(page: str, heading: str | None = None) -> dict[str, list[str]]:
    """The rows of a page's first table, or of the first below a heading, by their first cell."""
    text = (DOCS / page).read_text()
    if heading is not None:
        text = text.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"^\|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, f"{page} has no table below {heading}"
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()
    ]
    return {first.strip("`"): others for first, *others in cells}


def default(field: msgspec.structs.FieldInfo) -> str:
    """How the tables show a field's default."""
    value = field.default
    if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct):
        return ""
    return f"`{json.dumps(msgspec.to_builtins(value))}`"


@pytest.mark.parametrize(
    ("table", "page", "heading"),
    [
        (Settings, "reference/configuration.md", "## Settings"),
        (Listen, "reference/configuration.md", "## `[listen]`"),
        (Tls, "reference/configuration.md", "### `[listen.tls]`"),
        (Endpoint, "reference/configuration.md", "## `[[endpoints]]`"),
        (Limits, "reference/limits.md", "# Limits"),
        (Heartbeat, "reference/limits.md", "## Heartbeat"),
    ],
)
def test_settings_are_documented(table: type[msgspec.Struct], page: str, heading: str) -> None:
    documented = rows(page, None if heading == "# Limits" else heading)
    fields = msgspec.structs.fields(table)
    assert sorted(documented) == sorted(field.name for field in fields)
    for field in fields:
        shown = documented[field.name][0].strip("`")
        if field.name in ("endpoints", "options"):
            continue
        assert shown == default(field).strip("`"), field.name


@pytest.mark.parametrize(
    ("table", "page", "heading"),
    [
        (unisock_engineio.options.Options, "engineio", "## On an endpoint"),
        (unisock_engineio.options.ConnectorOptions, "engineio", "## For `connect`"),
        (unisock_eventsource.protocol.Options, "eventsource", "## On an endpoint"),
        (unisock_primus.options.Options, "primus", "## Options"),
        (unisock_socketio.options.Options, "socketio", "## On an endpoint"),
        (unisock_socketio.options.ClientOptions, "socketio", "## For `connect`"),
        (unisock_sockjs.options.Options, "sockjs", "## On an endpoint"),
        (unisock_sockjs.connector.ConnectorOptions, "sockjs", "## For `connect`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_of_protocols_are_documented(
    table: type[msgspec.Struct], page: str, heading: str
) -> None:
    documented = rows(f"reference/{page}.md", heading)
    fields = msgspec.structs.fields(table)
    assert list(documented) == [field.name for field in fields]
    for field in fields:
        shown = documented[field.name][0]
        if default(field) and shown.startswith("`"):  # others are told in words
            assert shown == default(field), field.name


def test_overflow_policies_are_documented() -> None:
    assert list(rows("reference/limits.md", "## A slow client")) == [o.value for o in Overflow]


def test_errors_are_documented() -> None:
    documented = rows("reference/errors.md")
    assert list(documented) == list_of_errors(UnisockError)
    for name in documented:
        facts = re.findall(r":ivar (\w+):", inspect.getdoc(getattr(errors, name)) or "")
        for fact in facts:
            assert f"`{fact}`" in documented[name][1], f"{name}.{fact}"


def list_of_errors(root: type[Exception]) -> list[str]:
    names = [root.__name__]
    for kind in root.__subclasses__():
        if kind.__module__ == "unisock.errors":
            names += list_of_errors(kind)
    return names


def test_hooks_are_documented_with_their_signatures() -> None:
    page = (DOCS / "reference/hooks.md").read_text()
    documented = re.findall(r"^`(unisock_\w+\(.*)`$", page, re.MULTILINE)
    real = [
        f"{name}{inspect.signature(hook)}".replace("'", "")
        for name, hook in vars(hooks).items()
        if name.startswith("unisock_")
    ]
    assert documented == real


def test_capability_matrix_is_that_of_the_adapters() -> None:
    text = (DOCS / "reference/capabilities.md").read_text()
    header = next(line for line in text.splitlines() if line.startswith("| capability"))
    adapters = [cell.strip(" `") for cell in header.strip("|").split("|")[1:-1]]
    assert sorted(adapters) == list(installed("adapter"))
    documented = rows("reference/capabilities.md")
    assert list(documented) == list(Capabilities.__struct_fields__)
    for flag, cells in documented.items():
        for adapter, cell in zip(adapters, cells, strict=False):
            value = getattr(look_up("adapter", adapter).capabilities, flag)
            shown = {True: "yes", False: "–", (): "–"}.get(value) or ", ".join(value)
            assert cell == shown, f"{adapter}.{flag}"


def blocks(language: str) -> list[Any]:
    found: list[Any] = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)
        if texts:
            found.append(pytest.param(texts, id=str(page.relative_to(ROOT))))
    return found


@pytest.mark.parametrize("texts", blocks("python"))
def test_python_snippets_run(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snippets of a page are one program, in the order in which one reads them."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for text in texts:
        exec(compile(text, "snippet", "exec"), namespace)


@pytest.mark.parametrize("texts", blocks("toml"))
def test_toml_snippets_are_settings(texts: list[str]) -> None:
    for text in texts:
        table = tomllib.loads(text)
        if "project" in table or "build-system" in table:
            continue  # a distribution's own pyproject.toml
        load([("snippet", table.get("tool", {}).get("unisock", table))])


def test_the_suite_for_protocols_is_documented() -> None:
    own = [name for name in ProtocolTests.__annotations__ if not name.startswith("_")]
    assert list(rows("reference/suites.md", "## Protocols")) == own
    assert list(rows("reference/suites.md", "### A way")) == list(Way.__struct_fields__)


def test_the_error_that_the_page_shows_is_the_real_one() -> None:
    page = (DOCS / "reference/configuration.md").read_text()
    with pytest.raises(ConfigError) as raised:
        load([("unisock.toml", {"listen": {"prot": 1}})])
    assert f"unisock: {raised.value}" in page
