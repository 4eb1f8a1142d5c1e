"""Keep one failing row from failing its batch."""

from collections.abc import Sequence


def _halves(ids: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    return ids[: len(ids) // 2], ids[len(ids) // 2 :]


def unexpected_error(error: Exception) -> str:
    """Say what went wrong where nobody thought that it could."""
    return f"Unexpected error, {type(error).__name__}: {error}"[:2_000]
