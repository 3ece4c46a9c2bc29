"""The options, and the event loop that the adapter asks for where unisock makes it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unisock import ConfigError
from unisock_picows import PicowsAdapter, adapter, parts

APP = """
import asyncio
from unisock import Server, hookimpl
from unisock_picows import PicowsAdapter

class Report:
    @hookimpl
    def unisock_start(self):
        print(type(asyncio.get_running_loop()).__module__.partition(".")[0], flush=True)

server = Server(adapter=PicowsAdapter({options!r}), plugins=[Report()])
server.on_message(lambda spark, message: None)
if __name__ == "__main__":
    server.run()
"""


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"uvlop": True}, r"options\.picows: .*uvlop.*the options are: uvloop"),
        ({"uvloop": "perhaps"}, r"options\.picows\.uvloop"),
        ({"handshakes": 0}, r"options\.picows\.handshakes"),
        ({"read_buffer_bytes": 1}, r"options\.picows\.read_buffer_bytes"),
    ],
)
def test_a_wrong_option_is_told(table: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PicowsAdapter(table)


def test_text_is_taken_as_from_the_environment() -> None:
    chosen = PicowsAdapter({"uvloop": "false", "handshakes": "7"})
    assert chosen.backend_options("asyncio") == {"use_uvloop": False}


def test_c_parts_that_are_wanted_and_not_built_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "IN_C", None)
    assert not parts.choose_parts(None).native
    with pytest.raises(ConfigError, match=r"options\.picows\.native: .*pip install"):
        PicowsAdapter({"native": True})


def test_c_parts_are_left_alone_where_python_is_wanted() -> None:
    assert not parts.choose_parts(False).native


def test_only_asyncio_has_uvloop() -> None:
    assert PicowsAdapter({"uvloop": True}).backend_options("trio") == {}


def test_uvloop_that_is_wanted_and_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    assert PicowsAdapter().backend_options("asyncio") == {"use_uvloop": False}
    with pytest.raises(ConfigError, match=r"pip install \"unisock-picows\[uvloop\]\""):
        PicowsAdapter({"uvloop": True}).backend_options("asyncio")


@pytest.mark.parametrize(("options", "loop"), [({}, "uvloop"), ({"uvloop": False}, "asyncio")])
def test_the_loop_is_the_one_that_was_asked_for(
    tmp_path: Path, options: dict[str, Any], loop: str
) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.format(options=options))
    process = subprocess.Popen(
        [sys.executable, app, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if re.search("listening on http://", line):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.strip() == loop
