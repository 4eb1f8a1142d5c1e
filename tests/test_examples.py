"""The examples in docstrings are true: each is run, and its result is compared."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("billing", "catalog", "config", "customers", "events")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for app in APPS
    for path in (ROOT / app).rglob("*.py")
    if "\n    >>> " in path.read_text()
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_give_the_results_they_show(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
