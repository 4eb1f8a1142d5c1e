"""Links, folders and modules in the documentation exist."""

import re
from pathlib import Path

import pytest

from tests.words import ROOT

READMES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md"))]
PAGES = [*READMES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED_PATH = re.compile(r"`([\w./-]+/|[\w./-]+\.(?:py|md|html|sql))`")


def get_page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=get_page_name)
def test_linked_files_exist(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", READMES, ids=get_page_name)
def test_folders_and_modules_named_in_a_readme_exist(page):
    """Paths are relative to the project's folder or an app's folder."""
    folders = [ROOT, *(readme.parent for readme in READMES[1:])]
    paths = [path for path in NAMED_PATH.findall(page.read_text()) if not path.startswith(("/", "."))]
    assert [path for path in paths if not any((folder / path).exists() for folder in folders)] == []


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "decisions"
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w.-]+)\)", (folder / "README.md").read_text()))
