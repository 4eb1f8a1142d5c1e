"""Fixtures for the tests marked `browser`: Debian's Chromium, driven by Playwright, logged in to the admin.

A test that leaves an error in the browser's console, a refused script or style among them, fails.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

FLAGS = [
    "--no-sandbox",  # as root there is none, and the pages are our own
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class AdminBrowser:
    """A page that is logged in, at `url`, and what its console complained of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path of the site; return the page once its scripts have run. Fails unless it answers 2xx."""
        response = self.page.goto(self.url + path, wait_until="networkidle")
        assert response, path
        assert response.ok, f"{path} answered {response.status}"
        return self.page

    def listen(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless. Without the program the run fails: it never skips."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium isn't installed: run `apt-get install chromium`.", pytrace=False)
    # Playwright's event loop runs in this thread, where Django would then refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
        # A thread has another connection while a loop runs in it: once the loop is gone, nobody could close that one.
        connections.close_all()


@pytest.fixture
def admin_browser(chromium: Browser, live_server: Any, staff_user: User) -> Iterator[AdminBrowser]:
    """A page of 1280 × 800 logged in as a superuser. At the end its console must be without complaint."""
    client = Client()
    client.force_login(staff_user)
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    browser = AdminBrowser(context.new_page(), live_server.url)
    browser.listen()
    yield browser
    context.close()
    assert not browser.complaints
