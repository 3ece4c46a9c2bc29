"""``unisock check``"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from unisock.cli import main

Check = Callable[..., tuple[int, dict[str, tuple[object, str]], str]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Exit code, settings as value and source by key, and what is said on standard error."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments: str) -> tuple[int, dict[str, tuple[object, str]], str]:
        with pytest.raises(SystemExit) as exit:
            main(["check", *arguments])
        seen = capsys.readouterr()
        assert isinstance(exit.value.code, int)
        rows = [line.split("\t") for line in seen.out.splitlines()]
        return exit.value.code, {k: (json.loads(v), source) for k, v, source in rows}, seen.err

    return check


def test_each_setting_comes_with_its_source(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unisock.toml").write_text(
        'adapter = "memory"\n[listen]\nport = 1\n[[endpoints]]\npath = "/live"\ncodec = "text"\n'
    )
    (tmp_path / "pyproject.toml").write_text("[tool.unisock.listen]\nport = 2\nbacklog = 7\n")
    monkeypatch.setenv("UNISOCK_LISTEN_PORT", "3")
    monkeypatch.setenv("UNISOCK_ORIGINS", "https://a.example, https://b.example")
    code, settings, _ = check("--port", "4", "--set", "limits.message_bytes=4096")
    assert code == 0
    assert settings["adapter"] == ("memory", "unisock.toml")
    assert settings["listen.backlog"] == (7, "pyproject.toml [tool.unisock]")
    assert settings["listen.port"] == (4, "command line")
    assert settings["limits.message_bytes"] == (4096, "command line, --set")
    origins = ["https://a.example", "https://b.example"]
    assert settings["origins"] == (origins, "UNISOCK_ORIGINS")
    assert settings["endpoints./live.codec"] == ("text", "unisock.toml")
    assert settings["endpoints./live.dialect"] == ("plain", "default")


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("limits.message_bytes=4096", "limits.message_bytes", 4096),
        ("heartbeat.interval=2.5", "heartbeat.interval", 2.5),
        ("listen.tls.certificate=", "listen.tls.certificate", None),
        ("origins=https://a.example,https://b.example", "origins", 2),
        ('origins=["https://a.example"]', "origins", 1),
        ("plugins=rooms", "plugins", 1),
        ('endpoints=[{"path": "/a", "codec": "raw"}]', "endpoints./a.codec", "raw"),
        ("options.rooms.max_rooms=5", "options.rooms.max_rooms", 5),
    ],
)
def test_set_takes_any_setting(check: Check, assignment: str, key: str, value: object) -> None:
    code, settings, said = check("--adapter", "memory", "--set", assignment)
    if value is None:
        assert code == 2, said
        assert "listen" in said
        return
    found, source = settings[key]
    assert (len(found) if isinstance(found, list) else found) == value
    assert source == "command line, --set"


def test_set_may_be_given_many_times(check: Check) -> None:
    given = ("limits.message_bytes=5", "limits.fragments=7", "origins=*", "limits.fragments=8")
    code, settings, said = check(*(word for item in given for word in ("--set", item)))
    assert code == 0, said
    assert settings["limits.message_bytes"][0] == 5
    assert settings["limits.fragments"][0] == 8
    assert settings["origins"][0] == ["*"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "limits.mesage_bytes=1"], "did you mean message_bytes?"),
        (["--set", "limits.message_bytes=many"], "limits.message_bytes: Expected `int`"),
        (["--set", "limits.message_bytes=-1"], "limits.message_bytes: "),
        (["--set", "limits.message_bytes"], "write it as KEY=VALUE"),
        (["--set", "..=1"], "write it as KEY=VALUE"),
        (["--set", "endpoints=[{]"], "--set endpoints: not JSON"),
        (["--adapter", "tornadoo"], "Did you mean 'tornado'?"),
        (["--adapter", "memory", "--unix", "x.sock"], "cannot listen with unix"),
        (["--set", "plugins=romms"], "no plugin 'romms' is installed"),
        (["--set", 'endpoints=[{"path": "/a", "codec": "xml"}]'], "endpoint /a: no codec 'xml'"),
    ],
)
def test_what_is_wrong_is_exit_code_2_and_one_sentence(
    check: Check, arguments: list[str], sentence: str
) -> None:
    code, settings, said = check(*arguments)
    assert (code, settings) == (2, {})
    assert sentence in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--port", "8123"], "http://127.0.0.1:8123"),
        (["--host", "::1", "--port", "0"], "http://[::1], at a free port"),
        (["--unix", "live.sock"], "http+unix:live.sock"),
        (["--adapter", "memory"], "within the process"),
    ],
)
def test_it_says_where_it_would_listen(check: Check, arguments: list[str], where: str) -> None:
    code, _, said = check(*arguments)
    assert code == 0
    assert where in said
    assert "warning" not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "can be reached from elsewhere, and there is no TLS"),
        (["--host", "192.0.2.1"], "can be reached from elsewhere, and there is no TLS"),
        (["--set", "origins=*"], "lets every web page connect to /ws"),
        (["--set", 'endpoints=[{"path": "/a", "origins": ["*"]}]'], "every web page connect to /a"),
        (["--set", "trusted_proxies=0.0.0.0/0"], "any client can invent its address"),
        (["--set", "heartbeat.interval=0"], "connections that broke without a word stay"),
        (["--set", "drain_seconds=0"], "a restart cuts clients off"),
    ],
)
def test_what_may_not_be_meant_is_a_warning(
    check: Check, arguments: list[str], sentence: str
) -> None:
    code, _, said = check(*arguments)
    assert code == 0
    (warning,) = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert sentence in warning


def test_settings_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["check", "--json", "--port", "4"])
    assert exit.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["listen.port"] == {"value": 4, "source": "command line"}
    assert told["origins"] == {"value": [], "source": "default"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://127.0.0.1/ws", "--url", "http://127.0.0.1"], "one of them"),
        (["ftp://127.0.0.1/ws"], "is no URL of a server"),
        (
            ["pigeon+http://127.0.0.1/ws"],
            "known are ws, http, sockjs+http, engineio+http, sse+http",
        ),
        (["ws+unix:/run/app.sock:/ws"], "not by a Unix socket"),
        (["--url", "http://127.0.0.1/?a=b"], "a site has no query"),
        (["http://127.0.0.1/ws", "-H", "sesame"], "write it as NAME:VALUE"),
        (["http://127.0.0.1/ws", "--set", "limits.fragments=1"], "--set"),
    ],
)
def test_a_site_that_cannot_be_tried(check: Check, arguments: list[str], sentence: str) -> None:
    code, settings, said = check(*arguments)
    assert (code, settings) == (2, {})
    assert sentence in said
    assert "Traceback" not in said


def test_a_site_that_nobody_answers_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration is looked at all the same. Nobody listens on port 9."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["check", "--url", "http://127.0.0.1:9/live"])
    seen = capsys.readouterr()
    assert exit.value.code == 1
    url, protocol, name, state, told, lines = seen.out.strip("\n").split("\t")
    assert (url, protocol) == ("http://127.0.0.1:9/live/ws", "websocket")
    assert (name, state, lines) == ("websocket", "broken", "")
    assert "cannot connect to 127.0.0.1:9" in told
    assert "1 of 1 checks failed" in seen.err
    assert "warning: trusted_proxies is empty" in seen.err


def test_workers_are_counted_and_what_ends_at_one_is_said(check: Check) -> None:
    code, settings, said = check("--workers", "3", "--set", "plugins=rooms")
    assert code == 0
    assert settings["workers"] == (3, "command line")
    assert "it would listen on http://127.0.0.1:8000, with 3 workers" in said
    assert "rooms: with several workers, each has its own" in said
    with_polling = 'endpoints=[{"path": "/x", "protocol": "engineio"}]'
    code, _, said = check("--workers", "3", "--adapter", "tornado", "--set", with_polling)
    assert code == 2
    assert "endpoint /x: a session of the protocol 'engineio' spans several requests" in said
