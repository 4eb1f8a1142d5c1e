"""What filters of several lists share."""

from typing import ClassVar

from django.db.models import Q, TextChoices

from catalog.api.filters import ListFilter


def values_by_name(choices: type[TextChoices]) -> dict[str, str]:
    """Let a filter take the stored values themselves as names."""
    return {value: value for value in choices.values}


class ArchivedFilter(ListFilter):
    published: ClassVar[Q] = Q(archived_at=None)
    archived: ClassVar[Q] = Q(archived_at__isnull=False)
