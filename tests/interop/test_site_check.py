"""``unisock check URL`` behind a real nginx: it finds what is missing, and the lines that it names
are those that mend it.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from unisock.cli import main

APP = Path(__file__).with_name("site_app.py")
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "proxy.md"
UPGRADE = [
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    'proxy_set_header Connection "upgrade";',
]

Nginx = Callable[..., str]
Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def upstream(start: Any) -> str:
    """The address of the application, in a process of its own."""
    url: str = start("serve", APP, "--port", "0").url()
    return url


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Exit code, and what ``--json`` prints."""

    def check(*arguments: str) -> tuple[int, dict[str, Any]]:
        with pytest.raises(SystemExit) as exit:
            main(["check", *arguments, "--json"])
        assert isinstance(exit.value.code, int)
        return exit.value.code, json.loads(capsys.readouterr().out)

    return check


def states(report: dict[str, Any]) -> dict[str, str]:
    """``{"/ws websocket": "ok", …}``"""
    return {
        f"/{point['url'].split('/', 3)[3]} {finding['check']}": finding["state"]
        for point in report["endpoints"]
        for finding in point["findings"]
    }


def told(report: dict[str, Any]) -> str:
    return "\n".join(
        finding["told"] for point in report["endpoints"] for finding in point["findings"]
    )


def name_of(line: str) -> str:
    """What a line of nginx' configuration sets: a second one would be an error."""
    words = line.rstrip(";").split()
    return " ".join(words[:2]) if words[0] == "proxy_set_header" else words[0]


def test_the_lines_that_it_names_mend_it(upstream: str, nginx: Nginx, check: Check) -> None:
    """From bare ``proxy_pass``, impatient and deaf to X-Accel-Buffering, to a site that works."""
    arguments = [str(APP), "--token", "sesame", "--idle", "2", "--url"]
    lines = ["proxy_ignore_headers X-Accel-Buffering;", "proxy_read_timeout 1s;"]
    added: list[str] = []
    code, report = check(*arguments, nginx(upstream, *lines))
    assert code == 1
    assert {name for name, state in states(report).items() if state == "ok"} == {
        "/sockjs info",
        "/sockjs xhr-polling",
        "/sockjs cookie",
        "/sockjs sticky",
        "/engine.io polling",
        "/engine.io sticky",
        "/engine.io body",
    }
    for _ in range(2):  # behind a door that is shut there may be another
        assert list(report["nginx"]) == ["location"]
        for line in report["nginx"]["location"]:
            lines = [old for old in lines if name_of(old) != name_of(line)] + [line]
            added.append(line)
        code, report = check(*arguments, nginx(upstream, *lines))
        if code == 0:
            break
    assert sorted(added) == sorted(
        [
            *UPGRADE,
            "proxy_buffering off;",
            "proxy_read_timeout 60s;",
            "proxy_set_header Host $http_host;",
            "client_max_body_size 3m;",
        ]
    )
    assert set(states(report).values()) == {"ok"}
    assert len(states(report)) == 21


def test_one_endpoint(upstream: str, nginx: Nginx, check: Check) -> None:
    """Its protocol is found out. What the application refuses is no fault of the proxy's."""
    for path, protocol in (
        ("/ws", "websocket"),
        ("/sockjs", "sockjs"),
        ("/engine.io", "engineio"),
        ("/events", "eventsource"),
    ):
        code, report = check(upstream + path)
        assert (code, report["endpoints"][0]["protocol"]) == (0, protocol)
    site = nginx(upstream, *UPGRADE, "proxy_set_header Host $http_host;")
    code, report = check(f"{site}/members".replace("http", "ws"))
    assert (code, states(report)) == (0, {"/members websocket": "unknown"})
    assert "refuses with 401: log in first" in told(report)
    assert report["nginx"] == {}


def test_a_proxy_that_asks_elsewhere(upstream: str, nginx: Nginx, check: Check) -> None:
    _, report = check(f"{nginx('http://127.0.0.1:9')}/sockjs")  # nobody listens there
    assert "does not reach the server (502)" in told(report)
    assert report["nginx"] == {"location": ["proxy_pass http://127.0.0.1:8000;"]}
    _, report = check(str(APP), "--url", nginx(f"{upstream}/inner/"))
    assert "the proxy makes /inner/ws of /ws" in told(report)
    _, report = check(f"{nginx(upstream, location='location /else { return 204; }')}/sockjs")
    assert report["nginx"]["server"][0] == "location /sockjs {"
    code, report = check("http://127.0.0.1:9/sockjs")
    assert code == 1
    assert "http://127.0.0.1:9 gives no answer" in told(report)


def test_a_path_that_the_proxy_rewrites(upstream: str, nginx: Nginx, check: Check) -> None:
    """The endpoint at /sockjs is /live/sockjs for clients: only its cookie is in the way."""
    lines = [*UPGRADE, "proxy_set_header Host $http_host;", "client_max_body_size 3m;"]
    inside = " ".join([f"proxy_pass {upstream}/;", *lines])
    site = nginx(upstream, location=f"location /live/ {{ {inside} }}")
    code, report = check(f"{site}/live/sockjs")
    assert code == 1
    assert report["nginx"] == {"location": ["proxy_cookie_path /sockjs /live/sockjs;"]}
    inside += report["nginx"]["location"][0]
    code, report = check(
        f"{nginx(upstream, location=f'location /live/ {{ {inside} }}')}/live/sockjs"
    )
    assert (code, report["nginx"]) == (0, {})


def test_several_processes(start: Any, upstream: str, nginx: Nginx, check: Check) -> None:
    lines = [*UPGRADE, "proxy_set_header Host $http_host;", "client_max_body_size 3m;"]
    (block,) = re.findall(r"^```nginx\n(upstream .*?)^```", PAGE.read_text(), re.M | re.S)
    for number, url in enumerate((upstream, start("serve", APP, "--port", "0").url())):
        assert block.count(f"127.0.0.1:800{number}") == 1
        block = block.replace(f"127.0.0.1:800{number}", url.removeprefix("http://"))
    for path in ("/sockjs", "/engine.io"):
        site = nginx("http://app", *lines, http=block.replace("ip_hash;", ""))
        code, report = check(site + path)
        assert code == 1
        assert report["nginx"] == {"upstream": ["ip_hash;"]}
        site = nginx("http://app", *lines, http=block)
        code, report = check(site + path)
        assert (code, report["nginx"]) == (0, {})


def test_a_site_with_tls(upstream: str, nginx: Nginx, check: Check, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "site.pem")
    tls = (tmp_path / "site.pem", tmp_path / "site.pem")
    lines = [*UPGRADE, "proxy_set_header Host $http_host;", "client_max_body_size 3m;"]
    site = nginx(upstream, *lines, tls=tls)
    _, report = check(f"{site}/sockjs")
    assert "certificate" in told(report)
    code, report = check(f"{site}/sockjs", "--ca", str(tmp_path / "ca.pem"))
    assert code == 1
    assert report["nginx"] == {"location": ["proxy_set_header X-Forwarded-Proto $scheme;"]}
    site = nginx(upstream, *lines, *report["nginx"]["location"], tls=tls)
    code, report = check(f"{site}/sockjs", "--no-check")
    assert (code, report["nginx"]) == (0, {})


def test_a_terminal_and_a_pipe(
    upstream: str, nginx: Nginx, capsys: pytest.CaptureFixture[str]
) -> None:
    site = nginx(upstream)
    with pytest.raises(SystemExit):
        main(["check", f"ws{site.removeprefix('http')}/ws"])
    (row,) = capsys.readouterr().out.splitlines()
    url, protocol, name, state, why, lines = row.split("\t")
    assert (url, protocol, name, state) == (f"{site}/ws", "websocket", "websocket", "broken")
    assert "WebSocket" in why
    assert lines == " ".join(UPGRADE)
    seen = on_a_terminal("check", f"ws{site.removeprefix('http')}/ws")
    assert "\x1b[31m" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert f"{site}/ws  websocket, behind nginx/" in plain
    assert "\n  ✗ websocket      the proxy does not" in plain
    assert "\n    ".join(["add to nginx, in the location:", *UPGRADE, ""]).strip() in plain
    assert "1 of 1 checks failed" in seen


def on_a_terminal(*arguments: str) -> str:
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    process = subprocess.Popen(
        [sys.executable, "-m", "unisock", *arguments],
        env=clean | {"TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    process.wait(30)
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")
