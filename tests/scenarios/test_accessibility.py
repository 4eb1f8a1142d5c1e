"""Accessibility: axe finds nothing on the admin's pages, in light and dark mode; the keyboard reaches everything.

The same walk checks that every page writes empty values and times as docs/words.md says.
"""

import re
from importlib.resources import files

import pytest
from playwright.sync_api import Page, expect

from config.admin.sidebar import SECTIONS
from tests.browser import AdminBrowser
from tests.demo_company import make_demo_company

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
API_REFERENCE = "/v1/docs"
# What people read on a page, except what was sent: payloads, IDs, names.
TEXTS = """() => {
    const texts = [], walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
        const isSent = walker.currentNode.parentElement.closest("pre, code, script, style, textarea, option")
        if (!isSent) texts.push(walker.currentNode.textContent.trim())
    }
    return texts
}"""
OTHERWISE_EMPTY = re.compile("-|—|None|null|n/a|N/A|NaN|undefined")
MONTHS = "(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*"
OTHERWISE_TIMED = re.compile(
    rf"{MONTHS}\.? \d{{1,2}},|\b\d{{1,2}}/\d{{1,2}}/\d|\d{{4}}-\d\d-\d\dT\d|\d [ap]\.m\.|\d:\d\d:\d\d\.\d"
)
FIRST_OBJECT = "#result_list tbody :is(th, td) a"


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page in light and in dark mode, as "mode rule: element"."""
    page.evaluate(AXE)
    results = []
    for mode in ("light", "dark"):
        page.evaluate("isDark => document.documentElement.classList.toggle('dark', isDark)", mode == "dark")
        for violation in page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]:
            results += [f"{mode} {violation['id']}: {node['html'][:200]}" for node in violation["nodes"]]
    page.evaluate("document.documentElement.classList.remove('dark')")
    return results


def inconsistencies(page: Page) -> list[str]:
    """Return the texts that write an empty value or a time otherwise than docs/words.md says."""
    texts: list[str] = page.evaluate(TEXTS)
    return [f"text: {text}" for text in texts if OTHERWISE_EMPTY.fullmatch(text) or OTHERWISE_TIMED.search(text)]


def links(page: Page, selector: str) -> list[str]:
    addresses: list[str] = page.locator(selector).evaluate_all("all => all.map(link => link.getAttribute('href'))")
    return addresses


def first_object_and_form(page: Page) -> list[str]:
    objects = [href for href in links(page, FIRST_OBJECT) if "/change/" in href]
    return objects[:1] + links(page, "a.addlink")[:1]


def test_axe_finds_nothing_on_any_page_of_the_admin(admin_browser: AdminBrowser, staff_user) -> None:
    make_demo_company(by=staff_user)
    waiting = links(admin_browser.open("/admin/"), "#nav-sidebar-apps li > a")
    assert len(waiting) == sum(len(section.items) for section in SECTIONS)
    waiting.remove(API_REFERENCE)
    seen: dict[str, list[str]] = {}
    while waiting:
        path = waiting.pop(0)
        if path not in seen:
            page = admin_browser.open(path)
            seen[path] = violations(page) + inconsistencies(page)
            waiting += first_object_and_form(page)
    assert len(seen) > 60
    if findings := [f"{path} {finding}" for path, found in seen.items() for finding in found]:
        pytest.fail("\n".join(findings), pytrace=False)


def test_axe_finds_nothing_on_the_api_reference_as_it_opens(admin_browser: AdminBrowser) -> None:
    page = admin_browser.open(API_REFERENCE)
    expect(page.locator(".opblock").first).to_be_visible(timeout=60_000)
    assert violations(page) == []


def test_axe_finds_nothing_before_the_login(admin_browser: AdminBrowser) -> None:
    admin_browser.page.context.clear_cookies()
    assert violations(admin_browser.open("/admin/login/")) == []


def test_the_first_tab_skips_to_the_content(admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/customers/customer/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_the_keyboard_opens_the_menu_and_folds_a_section(admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/")
    settings = page.get_by_role("button", name="Settings")
    expect(settings).to_have_attribute("aria-expanded", "false")
    settings.press("Enter")
    expect(page.get_by_role("link", name="Change log")).to_be_visible()
    page.get_by_role("button", name="staff@example.com").press("Enter")
    page.get_by_role("button", name="Dark").press(" ")
    expect(page.locator("html")).to_have_class("dark")
    admin_browser.open("/admin/")
    expect(page.get_by_role("link", name="Change log")).to_be_visible()  # the browser remembers the open section


@pytest.mark.parametrize(("width", "is_open"), [(1279, False), (1280, True), (1440, True)])
def test_the_sidebar_is_open_from_1280_pixels_on(admin_browser: AdminBrowser, width: int, is_open: bool) -> None:
    admin_browser.page.set_viewport_size({"width": width, "height": 800})
    page = admin_browser.open("/admin/")
    expect(page.locator("#nav-sidebar")).to_be_visible(visible=is_open)
    page.get_by_role("button", name="Sidebar").click()
    expect(page.locator("#nav-sidebar")).to_be_visible(visible=not is_open)
