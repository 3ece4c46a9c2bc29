"""The chat's page in Chromium, with several windows, on each adapter that has a port."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from unisock.testing.ports import private_port

ADAPTERS = ["websockets", "tornado", "sockjs-tornado"]
PATIENCE = 40_000  # ms; what is expected may take a reconnect with its back-off
TYPED = "<img src=x onerror=\"document.title='broken into'\"> & <b>friends</b>"


class Window:
    """Somebody's window."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name

    def enter(self, by: str | None) -> None:
        if by is not None:
            self.page.locator("#door").get_by_role("button", name=by).click()
        self.page.get_by_label("Your name").fill(self.name)
        self.page.get_by_role("button", name="Enter the chat").click()
        expect(self.page.locator("#door")).to_be_hidden(timeout=PATIENCE)

    def say(self, text: str) -> None:
        box = self.page.get_by_label("Message", exact=True)
        box.fill(text)
        box.press("Enter")

    def room(self, name: str) -> Locator:
        return self._row("#rooms", name)

    def person(self, name: str) -> Locator:
        return self._row("#people", name)

    def _row(self, group: str, name: str) -> Locator:
        title = self.page.get_by_text(name, exact=True)
        return self.page.locator(f"{group} button").filter(has=title)

    def sees(self, text: str, author: str) -> None:
        """The message is there, once, and came back from the server."""
        message = self.page.locator("#log .say:not(.waiting)").filter(has_text=text)
        expect(message).to_have_count(1, timeout=PATIENCE)
        if author == self.name:
            expect(message).to_have_class(re.compile("mine"))
        else:
            assert author[0] in message.locator(".face").inner_text()

    def notices(self, text: str) -> None:
        expect(self.page.locator("#notice")).to_contain_text(text, timeout=PATIENCE)


Open = Callable[..., Window]


@pytest.fixture
def open_window(open_page: Any) -> Open:
    """``open_window(url, "Ada", by="SockJS")``: a window of somebody who has entered the chat."""

    def open_window(url: str, name: str, *, by: str | None = None, **options: Any) -> Window:
        window = Window(open_page(f"{url}/chat", **options), name)
        window.enter(by)
        return window

    return open_window


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(start: Any, adapter: str, proves: Any) -> str:
    protocol = "sockjs" if adapter == "sockjs-tornado" else "websocket"
    proves(protocol=protocol, client="the chat's page, Chromium", host=adapter)
    return start("demo", "--adapter", adapter, "--port", "0").url()


@pytest.fixture
def page_url(start: Any) -> str:
    """For what is the page's own business, whatever the adapter."""
    return start("demo", "--port", "0").url()


def test_two_windows_talk(url: str, adapter: str, open_window: Open) -> None:
    ada, bob = open_window(url, "Ada"), open_window(url, "Bob")
    for window in (ada, bob):
        expect(window.page.locator("#adapter")).to_have_text(adapter)
        transport = "sockjs/xhr-streaming" if adapter == "sockjs-tornado" else "websocket"
        expect(window.page.locator("#facts")).to_contain_text(transport)
        expect(window.page.locator("#connections")).to_have_text("2")
    expect(ada.room("lobby")).to_contain_text("you, Bob")
    ada.say("hello, world")
    bob.say(TYPED)
    for window in (ada, bob):
        window.sees("hello, world", "Ada")
        window.sees(TYPED, "Bob")
        assert "broken into" not in window.page.title()


def test_how_somebody_comes_is_a_choice_that_all_can_see(start: Any, open_window: Open) -> None:
    url = start("demo", "--adapter", "tornado", "--port", "0").url()
    ada, bob = open_window(url, "Ada", by="Engine.IO"), open_window(url, "Bob")
    expect(bob.person("Ada")).to_contain_text("engineio/polling→websocket", timeout=PATIENCE)
    ada.say("polled, then upgraded")
    line = bob.page.locator("#log .say").filter(has_text="polled, then upgraded")
    expect(line.locator(".transport")).to_have_text("engineio/polling→websocket")
    ada.page.locator("#live").get_by_role("button", name="EventSource").click()
    ada.notices("Connected again")
    expect(bob.person("Ada")).to_contain_text("eventsource")
    expect(bob.room("lobby")).to_contain_text("Ada")
    bob.say("still here?")
    ada.sees("still here?", "Bob")
    ada.say("by POST")
    bob.sees("by POST", "Ada")


def test_private_messages_stay_private(url: str, open_window: Open) -> None:
    ada, bob, eve = (open_window(url, name) for name in ("Ada", "Bob", "Eve"))
    ada.person("Bob").click()
    ada.say("between us")
    ada.sees("between us", "Ada")
    expect(bob.person("Ada").locator(".badge")).to_have_text("1")
    bob.person("Ada").click()
    bob.sees("between us", "Ada")
    expect(bob.person("Ada").locator(".badge")).to_have_count(0)
    ada.room("lobby").click()
    ada.say("and for all")
    eve.sees("and for all", "Ada")
    expect(eve.person("Ada").locator(".badge")).to_have_count(0)
    expect(eve.page.locator("body")).not_to_contain_text("between us")


def test_rooms_come_and_go_and_show_who_is_in_them(url: str, open_window: Open) -> None:
    ada, bob = open_window(url, "Ada"), open_window(url, "Bob")
    ada.page.get_by_label("Name of a room to create or join").fill("tea")
    ada.page.keyboard.press("Enter")
    expect(ada.page.locator("#title")).to_have_text("tea")
    expect(bob.room("tea")).to_contain_text("Ada")
    expect(bob.person("Ada")).to_contain_text("in lobby, tea")
    bob.room("tea").click()
    expect(ada.page.locator("#members")).to_have_text("2 people: you, Bob")
    bob.page.get_by_role("button", name="Leave").click()
    expect(ada.page.locator("#members")).to_have_text("1 person: you")
    bob.page.close()
    expect(ada.page.locator("#people")).not_to_contain_text("Bob")
    expect(ada.page.locator("#feed")).to_contain_text(re.compile(r"closed Bob \(#\d+\), 1\d\d\d"))


def test_a_taken_name_is_refused_at_the_door(page_url: str, open_window: Open) -> None:
    open_window(page_url, "Ada")
    bob = open_window(page_url, "Bob")
    second = bob.page.context.browser
    assert second is not None
    page = second.new_context().new_page()
    page.goto(f"{page_url}/chat")
    page.get_by_label("Your name").fill("ADA")
    page.get_by_label("Your name").press("Enter")
    expect(page.locator("#wrong")).to_have_text("somebody else is ADA")
    page.get_by_label("Your name").fill("Eve")
    page.get_by_label("Your name").press("Enter")
    expect(page.locator("#door")).to_be_hidden()
    expect(bob.person("Eve")).to_be_visible()
    page.context.close()


def test_typing_shows(page_url: str, open_window: Open) -> None:
    ada, bob = open_window(page_url, "Ada"), open_window(page_url, "Bob")
    expect(ada.room("lobby")).to_contain_text("Bob")
    bob.page.get_by_label("Message", exact=True).press_sequentially("hm")
    expect(ada.page.locator("#typing")).to_have_text("Bob is typing…")
    bob.page.keyboard.press("Enter")
    expect(ada.page.locator("#typing")).to_have_text("")


@pytest.mark.parametrize(
    ("adapter", "then"),
    [*zip(ADAPTERS, ADAPTERS, strict=True), ("websockets", "sockjs-tornado")],
)
def test_a_restart_brings_everyone_back(
    start: Any, adapter: str, then: str, open_window: Open
) -> None:
    """… also where the server comes back with an adapter that speaks another protocol."""
    port = str(private_port())
    server = start("demo", "--adapter", adapter, "--port", port)
    url = server.url()
    ada, bob = open_window(url, "Ada"), open_window(url, "Bob")
    ada.say("before")
    bob.sees("before", "Ada")
    assert server.stop() == 0
    ada.notices("The server is away")
    ada.say("meanwhile")
    expect(ada.page.locator(".waiting")).to_have_text(re.compile("meanwhile"))
    start("demo", "--adapter", then, "--port", port).url()
    ada.notices("Connected again")
    ada.notices("1 waiting message sent")
    bob.notices("Connected again")
    for window in (ada, bob):
        expect(window.page.locator("#adapter")).to_have_text(then)
    expect(ada.room("lobby")).to_contain_text("Bob")
    ada.sees("meanwhile", "Ada")
    bob.say("after")
    for window in (ada, bob):
        window.sees("before", "Ada")
        window.sees("after", "Bob")


def test_a_private_message_waits_for_who_is_away(page_url: str, open_window: Open) -> None:
    ada, bob = open_window(page_url, "Ada"), open_window(page_url, "Bob")
    ada.person("Bob").click()
    bob.page.goto("about:blank")
    expect(ada.person("Bob")).to_contain_text("not here")
    ada.say("are you there?")
    ada.notices("Bob is not here. It is sent when Bob comes back.")
    expect(ada.page.locator(".waiting")).to_have_count(1)
    bob.page.goto(f"{page_url}/chat")
    ada.sees("are you there?", "Ada")
    expect(bob.person("Ada").locator(".badge")).to_have_text("1")


def test_a_second_window_of_the_same_person_takes_over(page_url: str, open_window: Open) -> None:
    ada = open_window(page_url, "Ada")
    with ada.page.context.expect_page() as opened:
        ada.page.evaluate("() => { window.open(location.href); }")
    second = opened.value  # opened by the first, it begins with a copy of its session
    expect(second.locator("#my-name")).to_have_text("Ada")
    ada.notices("The server closed this connection: continued in another window.")
    ada.page.get_by_role("button", name="Come back").click()
    ada.notices("Connected again")


def test_what_is_half_written_stays_with_whom_it_is_for(page_url: str, open_window: Open) -> None:
    ada, _ = open_window(page_url, "Ada"), open_window(page_url, "Bob")
    box = ada.page.get_by_label("Message", exact=True)
    ada.person("Bob").click()
    box.fill("a secret")
    ada.room("lobby").click()
    expect(box).to_have_value("")
    ada.person("Bob").click()
    expect(box).to_have_value("a secret")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_all_of_it_without_scrolling_sideways(
    page_url: str, scheme: str, open_window: Open
) -> None:
    phone = open_window(
        page_url, "Ada", width=380, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    phone.say("x" * 300)
    phone.say("a long message that has to be broken into several lines " * 5)
    phone.sees("a long message", "Ada")
    tabs = phone.page.get_by_label("Parts of the page")
    for name, part in (("Rooms", "#side"), ("Live", "#live"), ("Chat", "#talk")):
        tabs.get_by_role("button", name=name).click()
        expect(phone.page.locator(part)).to_be_visible()
        width = phone.page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 380
        overflowing = phone.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter(one => {
                const box = one.getBoundingClientRect();
                return box.width && (box.right > innerWidth + 1 || box.left < -1)
                    && getComputedStyle(one).clipPath === "none";
            }).map(one => one.outerHTML.slice(0, 80))"""
        )
        assert overflowing == []


def test_everything_can_be_done_with_the_keyboard(page_url: str, open_window: Open) -> None:
    ada = open_window(page_url, "Ada")
    keyboard = ada.page.keyboard
    focused = "() => document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    ada.page.get_by_label("Name of a room to create or join").focus()
    keyboard.type("tea")
    keyboard.press("Enter")
    expect(ada.page.locator("#title")).to_have_text("tea")
    assert ada.page.evaluate(focused) == "text"
    keyboard.type("one")
    keyboard.press("Shift+Enter")
    keyboard.type("two")
    keyboard.press("Enter")
    expect(ada.page.locator("#log .mine .bubble")).to_contain_text("one\ntwo")
    ada.room("lobby").focus()
    keyboard.press("Enter")
    expect(ada.page.locator("#title")).to_have_text("lobby")
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    keyboard.press("Tab")
    assert ada.page.evaluate(outline) == "solid"
