"""A browser for the tests of the page: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_sdk.local import LocalServer

MISSING = "no Chromium on this machine, or no Playwright: the tests of the page are skipped"
REQUIRED = os.environ.get("RELAY_TEST_BROWSER") == "required"
SCREENSHOTS = os.environ.get("RELAY_TEST_SCREENSHOTS")
"""A folder for the screenshots of the documentation."""


def _program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


# While it is open a loop runs in this thread, and other modules' tests want their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    program = _program()
    if program is None or sync_playwright is None:
        if REQUIRED:
            pytest.fail(f"{MISSING}, and $RELAY_TEST_BROWSER says that they may not be")
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        # Its sandbox refuses root; it sees nothing here but this server's page.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def complaints() -> list[str]:
    """The messages of the page's console; a test removes those that it expects."""
    return []


@pytest.fixture
def new_page(browser: Any, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """Open pages in a new browser context."""
    contexts: list[Any] = []

    def complain(message: Any) -> None:
        # What a test lets fail is told by the page itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def new(**settings: Any) -> Any:
        size = {"width": 1180, "height": 720}
        context = browser.new_context(**{"viewport": size, "locale": "en-GB"} | settings)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield new
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    return new_page()


@pytest.fixture
def take_picture() -> Callable[[Any, str], None]:
    """Write a screenshot for the documentation, if it is requested."""

    def take(page: Any, name: str) -> None:
        if SCREENSHOTS:
            page.mouse.move(0, 0)
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")

    return take
