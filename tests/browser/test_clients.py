"""The demo's page in Chromium: one room, and a panel for every client."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

NODE_MODULES = Path(__file__).parents[1] / "interop/node_modules"
PATIENCE = 20_000
SEEN_AS = {
    "websocket": "websocket",
    "sockjs": "sockjs/xhr-streaming",
    "engineio": "engineio/polling→websocket",
    "eventsource": "eventsource",
}
"""How the server sees each client."""
MADE = {
    True: {"sockjs": "sockjs-client 1", "engineio": "engine.io-client 6"},
    False: {"sockjs": "of this page", "engineio": "of this page"},
}
"""What two of them are made of, with what npm brought and without."""


class Wall:
    """The page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def panel(self, client: str) -> Locator:
        return self.page.locator(f".panel[data-client={client}]")

    def is_in(self, client: str) -> None:
        """The client is in the room, and the server sees it as it should."""
        via = self.panel(client).locator(".via .transport")
        expect(via).to_have_text(SEEN_AS[client], timeout=PATIENCE)
        expect(self.panel(client).locator("input")).to_be_enabled(timeout=PATIENCE)

    def say(self, client: str, text: str) -> None:
        box = self.panel(client).locator("input")
        box.fill(text)
        box.press("Enter")

    def all_read(self, text: str, transport: str) -> None:
        """Every client has got it, once, with how its author came."""
        for client in SEEN_AS:
            line = self.panel(client).locator(".line").filter(has_text=text)
            expect(line).to_have_count(1, timeout=PATIENCE)
            expect(line.locator(".transport")).to_have_text(transport)


Demo = Callable[..., Any]


@pytest.fixture
def demo(start: Any) -> Demo:
    """``demo("tornado", npm=True)``: the demo, as a process, with npm's clients or without."""

    def demo(adapter: str | None = None, *, npm: bool = True, port: int = 0) -> Any:
        chosen = [] if adapter is None else ["--adapter", adapter]
        environment = {"NODE_PATH": str(NODE_MODULES) if npm else ""}
        return start("demo", *chosen, "--port", str(port), env=environment)

    return demo


@pytest.mark.parametrize(("adapter", "npm"), [("tornado", True), ("picows", False), ("asgi", True)])
def test_every_client_says_one_thing_and_all_read_it(
    adapter: str, npm: bool, demo: Demo, open_page: Any
) -> None:
    wall = Wall(open_page(demo(adapter, npm=npm).url()))
    for client, transport in SEEN_AS.items():
        wall.is_in(client)
        expect(wall.page.locator("#room")).to_contain_text(transport)
    for client, made in MADE[npm].items():
        expect(wall.panel(client).locator(".made")).to_contain_text(made)
    expect(wall.page.locator("#facts")).to_contain_text(
        re.compile(f"4 clients on one port .*{adapter} on asyncio")
    )
    for client, transport in SEEN_AS.items():
        wall.say(client, f"this is {client} <b>speaking</b>")
        wall.all_read(f"this is {client} <b>speaking</b>", transport)
        own = wall.panel(client).locator(".line.mine").filter(has_text=f"this is {client}")
        expect(own).to_contain_text(re.compile(r"answered in \d+ ms"))
    wall.page.get_by_role("button", name="Let everyone say hello").click()
    for title, transport in zip(
        ("WebSocket", "SockJS", "Engine.IO"), SEEN_AS.values(), strict=False
    ):
        wall.all_read(f"Hello from {title}", transport)


def test_what_the_adapter_lacks_is_said_and_comes_with_another(demo: Demo, open_page: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = demo("websockets", port=port)
    wall = Wall(open_page(server.url()))
    wall.is_in("websocket")
    for client in ("sockjs", "engineio", "eventsource"):
        expect(wall.panel(client)).to_contain_text("The adapter websockets does not carry")
        expect(wall.panel(client)).to_contain_text("unisock demo --adapter tornado")
    expect(wall.page.locator("#terminal")).to_be_hidden()
    assert "websockets does not carry sockjs, engineio, eventsource" in server.stderr
    assert server.stop() == 0
    demo("tornado", port=port).url()
    for client in SEEN_AS:
        wall.is_in(client)
    wall.say("websocket", "all of us")
    wall.all_read("all of us", "websocket")


@pytest.mark.skipif(shutil.which("curl") is None, reason="capability: curl is not installed")
def test_curl_takes_part_by_the_commands_on_the_page(
    demo: Demo, open_page: Any, tmp_path: Path
) -> None:
    wall = Wall(open_page(demo().url()))
    for client in SEEN_AS:
        wall.is_in(client)
    listen, say = (
        wall.page.locator(f"[data-command={name}]").inner_text() for name in ("listen", "say")
    )

    def type_in(command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )

    with type_in(f"exec {listen.partition(' |')[0]} > curl.txt") as curl:
        try:
            present = wall.page.locator("#room li").filter(has_text="curl")
            expect(present.locator(".transport")).to_have_text("eventsource", timeout=PATIENCE)
            with type_in(say) as speaks:
                assert speaks.wait(20) == 0
            wall.all_read("hello from curl", "eventsource")
            wall.say("sockjs", "hello, curl")
            wall.all_read("hello, curl", "sockjs/xhr-streaming")
            with type_in(listen) as second:
                heard, _ = second.communicate(timeout=20)
            assert "somebody else is curl" in heard
        finally:
            curl.terminate()
    expect(present).to_have_count(0)


def test_a_phone_shows_all_of_it_without_scrolling_sideways(demo: Demo, open_page: Any) -> None:
    page = open_page(demo().url(), width=380, has_touch=True, is_mobile=True)
    wall = Wall(page)
    for client in SEEN_AS:
        wall.is_in(client)
    wall.say("engineio", "x" * 300)
    wall.all_read("x" * 300, SEEN_AS["engineio"])
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 380
    overflowing = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter(one => {
            const box = one.getBoundingClientRect();
            return box.width && (box.right > innerWidth + 1 || box.left < -1)
                && !one.closest("#room, code"); // which move by themselves
        }).map(one => one.outerHTML.slice(0, 80))"""
    )
    assert overflowing == []
