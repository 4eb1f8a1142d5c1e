"""Typeset a document's plain values as PDF. The same values give the same bytes on every machine.

Run as a program, it reads a document as JSON from standard input and writes the PDF to standard output, whenever no one
else needs the processors.
"""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import typst

from billing.documents.factur_x import mark_as_factur_x

TEMPLATE = Path(__file__).with_name("document.typ")
FONT_PACKAGES = (
    "justmytype_western_core",
    "justmytype_intl_africa",
    "justmytype_intl_cjk",
    "justmytype_intl_rtl",
    "justmytype_intl_sea",
    "justmytype_intl_south_asia",
)
SCRIPTS = (
    *("Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Telugu"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Ethiopic"),
)
LOWEST_PRIORITY = 19
HAN = {"JP": "JP", "KR": "KR", "TW": "TC", "HK": "TC", "MO": "TC"}


def typeset(document: Mapping[str, Any], *, made_at: datetime) -> bytes:
    """Typeset a document as PDF/A-3a and PDF/UA-1. `made_at` is stored in the file as its creation date.

    System fonts aren't used, so the bytes don't depend on the machine. A character that is missing in the bundled fonts
    is printed as an empty box, which the two standards forbid: such a document is a plain PDF. Safe in threads.
    """
    try:
        return _compile(document, made_at)
    except typst.TypstError:
        return _compile(document, made_at, is_standard=False)


def _compile(document: Mapping[str, Any], made_at: datetime, *, is_standard: bool = True) -> bytes:
    """Compile a PDF for archives (PDF/A-3, which can hold an electronic invoice) and screen readers (PDF/UA)."""
    pdf = typst.compile(
        _read_template(),
        format="pdf",
        pdf_standards=["a-3a", "ua-1"] if is_standard else None,
        font_paths=_load_fonts(),
        sys_inputs={"document": orjson.dumps(document).decode()},
        timestamp=int(made_at.timestamp()),
    )
    return mark_as_factur_x(pdf) if is_standard and document["data"] else pdf


def list_fonts(country: str) -> list[str]:
    """List the fonts in the order in which characters are looked up. Chinese characters follow the country's style."""
    preferred = HAN.get(country, "SC")
    east_asian = [preferred, *(style for style in ("SC", "JP", "KR", "TC") if style != preferred)]
    return ["Noto Sans", *(f"Noto Sans {script}" for script in (*SCRIPTS, *east_asian)), "Noto Sans Symbols 2"]


@cache
def _read_template() -> bytes:
    return TEMPLATE.read_bytes()


@cache
def _load_fonts() -> typst.Fonts:
    specs = [find_spec(package) for package in FONT_PACKAGES]
    folders = [folder for spec in specs if spec is not None for folder in spec.submodule_search_locations or ()]
    return typst.Fonts(include_system_fonts=False, font_paths=folders)


def main() -> None:
    os.nice(LOWEST_PRIORITY)
    request = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(typeset(request["document"], made_at=datetime.fromisoformat(request["made_at"])))


if __name__ == "__main__":
    main()
