"""Unfold's settings: the look of the admin. The sidebar and the search are in `config.admin`."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static


def logo(request: HttpRequest) -> str:
    """Return the address of the logo, which is also the favicon."""
    return static("config/favicon.svg")


def stylesheet(request: HttpRequest) -> str:
    """Return the address of our style sheet."""
    return static("config/admin.css")


def environment(request: HttpRequest) -> list[str]:
    """Label every page, so that a trial installation isn't mistaken for the live one."""
    return ["Live", "success"] if settings.HTTPS else ["Local", "info"]


def subheader(request: HttpRequest) -> str:
    """Return the company name, shown below the product name."""
    return str(settings.COMPANY_NAME)


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Countinghouse",
    "SITE_HEADER": "Countinghouse",
    "SITE_SUBHEADER": subheader,
    "SITE_ICON": logo,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": logo}],
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "ENVIRONMENT": environment,
    "DASHBOARD_CALLBACK": "billing.admin.home.dashboard_callback",
    "STYLES": [stylesheet],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.7)",
            "100": "oklch(95.3% .051 180.8)",
            "200": "oklch(91% .096 180.4)",
            "300": "oklch(85.5% .138 181.1)",
            "400": "oklch(77.7% .152 181.9)",
            "500": "oklch(70.4% .14 182.5)",
            "600": "oklch(51.1% .096 186.4)",
            "700": "oklch(45% .085 187)",
            "800": "oklch(38.6% .063 188.4)",
            "900": "oklch(32% .052 188.8)",
            "950": "oklch(27.7% .046 192.5)",
        },
    },
    "COMMAND": {"search_models": False, "show_history": True, "search_callback": "config.admin.search.find"},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": lambda request: request.user.is_superuser,
        "navigation": "config.admin.sidebar.navigation",
    },
}
