"""Statements that add up books again. Their rows are differences."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def statement(name: str) -> str:
    """Read a statement."""
    return (FOLDER / f"{name}.sql").read_text()
