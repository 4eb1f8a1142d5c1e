"""From a document's plain values to a PDF. The same values give the same bytes, on every machine."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import typst

TEMPLATE = Path(__file__).with_name("document.typ")
FONT_PACKAGES = (
    "justmytype_western_core",
    "justmytype_intl_africa",
    "justmytype_intl_cjk",
    "justmytype_intl_rtl",
    "justmytype_intl_sea",
    "justmytype_intl_south_asia",
)
SCRIPTS = ("Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Telugu", "Thai", "Lao", "Khmer", "Myanmar",
           "Ethiopic")  # fmt: skip
HAN = {"JP": "JP", "KR": "KR", "TW": "TC", "HK": "TC", "MO": "TC"}


def render(document: Mapping[str, Any], *, made_at: datetime) -> bytes:
    """Lay a document out as PDF. `made_at` is the date of creation that the file carries.

    No system font is used, so the bytes don't depend on the machine. A character that no bundled font has is printed
    as an empty box. Safe in threads.
    """
    return typst.compile(
        _template(),
        format="pdf",
        font_paths=_fonts(),
        sys_inputs={"document": orjson.dumps(document).decode()},
        timestamp=int(made_at.timestamp()),
    )


def fonts_for(country: str) -> list[str]:
    """Name the fonts to look for a character in, in order. Chinese characters look as in the country named."""
    first = HAN.get(country, "SC")
    east = [first, *(han for han in ("SC", "JP", "KR", "TC") if han != first)]
    return ["Noto Sans", *(f"Noto Sans {script}" for script in (*SCRIPTS, *east)), "Noto Sans Symbols 2"]


@cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()


@cache
def _fonts() -> typst.Fonts:
    specs = [find_spec(package) for package in FONT_PACKAGES]
    folders = [folder for spec in specs if spec is not None for folder in spec.submodule_search_locations or ()]
    return typst.Fonts(include_system_fonts=False, font_paths=folders)
