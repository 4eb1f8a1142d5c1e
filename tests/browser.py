"""Fixtures for the tests marked `browser`: Chromium, controlled by Playwright and logged in to the admin.

A test fails if the browser's console contains an error, such as a script or style that the policy refuses.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

FLAGS = [
    "--no-sandbox",  # root has no sandbox, and only the project's pages are opened
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# A click on a label is followed by the browser's click on its field: the pair counts once.
COUNT_CLICKS = """
addEventListener('click', event => {
    const label = event.target.closest('label')
    if (event.isTrusted && !(label?.control && label.control !== event.target)) window.countClick()
}, true)
addEventListener('change', event => { if (event.target.matches('select')) window.countClick() }, true)
"""
# The classes of htmx while a part of the page is fetched and put in place.
IS_LOADING = ".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"


@dataclass
class AdminBrowser:
    """A page that is logged in at `url`, and the errors of its console."""

    page: Page
    url: str
    console_errors: list[str] = field(default_factory=list)
    clicks: int = 0

    def open(self, path: str) -> Page:
        """Open a path; return the page once its scripts have run and fetched its parts. Fails unless it is 2xx."""
        response = self.page.goto(self.url + path, wait_until="load")
        assert response, path
        assert response.ok, f"{path} responded {response.status}"
        self.page.wait_for_function("loading => !document.querySelector(loading)", arg=IS_LOADING)
        return self.page

    @contextmanager
    def job(self, *, clicks: int, start: str = "/admin/") -> Iterator[Page]:
        """Start a job, at Home by default. Fail if it takes more clicks, across pages, than its budget.

        A choice in a list and Enter in a form count as clicks; typing, Tab and Ctrl+K don't.
        """
        page, before = self.open(start), self.clicks
        yield page
        page.evaluate("0")  # clicks are reported in order with this answer
        taken = self.clicks - before
        assert taken <= clicks, f"The job took {taken} clicks, {clicks} are enough"

    def find(self, words: str, result: str, *, detail: str = "") -> Page:
        """Open the search with Ctrl+K, type the words, and click the result with this title, and this detail below."""
        page = self.page
        page.keyboard.press("Control+k")
        page.locator("#search-input-command").press_sequentially(words)
        link = page.locator("#command-results").get_by_role("link", name=result).filter(has_text=detail)
        with page.expect_navigation(wait_until="load"):
            link.first.click()
        return page

    def listen(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.expose_function("countClick", self._on_click)
        self.page.add_init_script(COUNT_CLICKS)

    def _on_click(self) -> None:
        self.clicks += 1

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(message.text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start headless Chromium. If it isn't installed, the tests fail instead of being skipped.

    It ends with the module, since until then Playwright's event loop runs in the thread of all tests.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium isn't installed: run `apt-get install chromium`.", pytrace=False)
    # Playwright's event loop runs in this thread, in which Django would refuse database queries.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
        # The thread's connection inside the event loop is a separate one, which can't be closed after the loop ends.
        connections.close_all()


@pytest.fixture
def admin_browser(chromium: Browser, live_server: Any, staff_user: User) -> Iterator[AdminBrowser]:
    """Yield a page of 1280 × 800 that is logged in as a superuser, and check that its console has no errors."""
    client = Client()
    client.force_login(staff_user)
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    browser = AdminBrowser(context.new_page(), live_server.url)
    browser.listen()
    yield browser
    context.close()
    assert not browser.console_errors, browser.console_errors
