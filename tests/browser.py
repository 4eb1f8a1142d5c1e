"""Fixtures for the tests marked `browser`: Chromium, controlled by Playwright and logged in to the admin.

A test fails if the browser's console contains an error, such as a script or style that the policy refuses.
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
    "--no-sandbox",  # root has no sandbox, and only the project's pages are opened
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class AdminBrowser:
    """A page that is logged in at `url`, and the errors of its console."""

    page: Page
    url: str
    console_errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Open a path and return the page once its scripts have run. Fails unless the status is 2xx."""
        response = self.page.goto(self.url + path, wait_until="networkidle")
        assert response, path
        assert response.ok, f"{path} responded {response.status}"
        return self.page

    def listen(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(message.text)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start headless Chromium. If it isn't installed, the tests fail instead of being skipped."""
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
    assert not browser.console_errors
