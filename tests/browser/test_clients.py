"""The demo's page in Chromium: one room, and a panel for every client."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from unisock.testing.ports import private_port

NODE_MODULES = Path(__file__).parents[1] / "interop/node_modules"
PATIENCE = 40_000
SEEN_AS = {
    "websocket": "websocket",
    "socketio": "socketio/engineio/websocket",
    "primus": "primus/websocket",
    "sockjs": "sockjs/xhr-streaming",
    "engineio": "engineio/polling→websocket",
    "multiplex": "websocket-multiplex/sockjs/websocket",
    "eventsource": "eventsource",
}
"""How the server sees each client."""
OF_NPM = {
    "socketio": "socket.io-client 4",
    "primus": "primus 8",
    "sockjs": "sockjs-client 1",
    "engineio": "engine.io-client 6",
    "multiplex": "websocket-multiplex 0",
}
"""What those are made of that npm brings."""
INSTALL = {
    "socketio": "npm install socket.io-client",
    "primus": "npm install primus ws primus-emitter primus-multiplex",
    "multiplex": "npm install websocket-multiplex sockjs-client",
}
"""What to type for those that there is nothing else for."""


class Wall:
    """The page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def panel(self, client: str) -> Locator:
        return self.page.locator(f".panel[data-client={client}]")

    def is_in(self, client: str) -> None:
        """The client is in the room, and the server sees it as expected."""
        via = self.panel(client).locator(".via .transport")
        expect(via).to_have_text(SEEN_AS[client], timeout=PATIENCE)
        expect(self.panel(client).locator("input")).to_be_enabled(timeout=PATIENCE)

    def say(self, client: str, text: str) -> None:
        box = self.panel(client).locator("input")
        box.fill(text)
        box.press("Enter")

    def all_read(self, text: str, transport: str, clients: Iterable[str] = SEEN_AS) -> None:
        """Each of them has got it, once, with how its author came."""
        for client in clients:
            said = re.compile(re.escape(text))  # which heeds capitals, as a text would not
            line = self.panel(client).locator(".line").filter(has_text=said)
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
    there = {name: way for name, way in SEEN_AS.items() if npm or name not in INSTALL}
    for client, transport in there.items():
        wall.is_in(client)
        expect(wall.page.locator("#room")).to_contain_text(transport)
        made = OF_NPM.get(client, "the browser") if npm else re.compile("of this page|the browser")
        expect(wall.panel(client).locator(".made")).to_contain_text(made)
    if not npm:
        for client, command in INSTALL.items():
            expect(wall.panel(client).locator("code")).to_have_text(command)
    expect(wall.page.locator("#facts")).to_contain_text(
        re.compile(f"{len(there)} clients on one port .*{adapter} on asyncio")
    )
    for client, transport in there.items():
        wall.say(client, f"this is {client} <b>speaking</b>")
        wall.all_read(f"this is {client} <b>speaking</b>", transport, there)
        own = wall.panel(client).locator(".line.mine").filter(has_text=f"this is {client}")
        expect(own).to_contain_text(re.compile(r"answered in \d+ ms"))
    wall.page.get_by_role("button", name="Let everyone say hello").click()
    for client, transport in there.items():
        title = wall.panel(client).locator("h2").inner_text()
        wall.all_read(f"Hello from {title}", transport, ["eventsource"])


def test_what_the_adapter_lacks_is_said_and_comes_with_another(demo: Demo, open_page: Any) -> None:
    port = private_port()
    server = demo("websockets", port=port)
    lacking = ("socketio", "sockjs", "engineio", "multiplex", "eventsource")
    wall = Wall(open_page(server.url()))
    for client in SEEN_AS.keys() - lacking:
        wall.is_in(client)
    for client in lacking:
        expect(wall.panel(client)).to_contain_text("The adapter websockets does not carry")
        expect(wall.panel(client)).to_contain_text("unisock demo --adapter tornado")
    expect(wall.page.locator("#terminal")).to_be_hidden()
    assert "websockets does not carry engineio, sockjs, eventsource" in server.stderr
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


def test_a_phone_beside_another_window_shows_all_of_it_without_scrolling_sideways(
    demo: Demo, open_page: Any
) -> None:
    url = demo().url()
    other = Wall(open_page(url))
    for client in SEEN_AS:
        other.is_in(client)
    page = open_page(url, width=380, has_touch=True, is_mobile=True)
    wall = Wall(page)
    for client in SEEN_AS:
        wall.is_in(client)
        # The refusal of a taken name has reached each client in its own tongue.
        taken = other.panel(client).locator(".state").inner_text()
        expect(wall.panel(client).locator(".state")).to_have_text(f"{taken} 2")
    wall.say("engineio", "x" * 300)
    wall.all_read("x" * 300, SEEN_AS["engineio"])
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 380
    overflowing = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter(one => {
            const box = one.getBoundingClientRect();
            return box.width && (box.right > innerWidth + 1 || box.left < -1)
                && !one.closest("#room"); // which moves by itself
        }).map(one => one.outerHTML.slice(0, 80))"""
    )
    assert overflowing == []
