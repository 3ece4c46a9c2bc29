"""Chromium, and pages in it that must be without errors."""

import shutil
from collections.abc import Callable, Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
]
PATIENCE = 40_000  # ms; what is expected may take a reconnect with its back-off


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Not for longer: while Playwright's loop runs in this thread, no other can."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Generator[OpenPage]:
    """``open_page(url, width=…, height=…)``: a page in a window of its own. Other options are those
    of Playwright's contexts.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(url: str, *, width: int = 1200, height: int = 760, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
