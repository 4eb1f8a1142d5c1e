"""Draw invoice and credit note numbers, without gaps, from the chosen series or the default one."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import NumberSeries, SeriesUse
from billing.refusals import CannotChange
from config.audit import recorded

FIRST = {SeriesUse.INVOICE: ("invoices", "INV-"), SeriesUse.CREDIT_NOTE: ("credit notes", "CN-")}


def get_default_series(use: SeriesUse) -> NumberSeries:
    """Return the series for documents without a series of their own. It is created on the first call."""
    series = NumberSeries.objects.filter(used_for=use, is_default=True).first()
    if series is not None:
        return series
    name, prefix = FIRST[use]
    series, _ = NumberSeries.objects.get_or_create(
        name=name, defaults={"prefix": prefix, "used_for": use, "is_default": True}
    )
    return series


def draw_numbers(use: SeriesUse, series_ids: Sequence[int | None]) -> list[tuple[NumberSeries, str]]:
    """Draw a number from each chosen series, in their order; `None` is the default series.

    The series are locked until the transaction ends. Other transactions wait for their numbers, and a rollback leaves
    no gap.
    """
    default = get_default_series(use).pk if None in series_ids else 0
    keys = [default if key is None else key for key in series_ids]
    locked = NumberSeries.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    series_by_id = {series.pk: series for series in locked}
    numbers = [(series_by_id[key], series_by_id[key].draw()) for key in keys]
    for series in series_by_id.values():
        series.save(update_fields=["next_number"])
    return numbers


def save_series(series: NumberSeries, *, by: User | None) -> NumberSeries:
    """Validate and save a series. Raises `ValidationError`, and `CannotChange` for the prefix of used numbers."""
    before = NumberSeries.objects.filter(pk=series.pk).first() if series.pk else None
    if before is not None and before.next_number > 1 and before.prefix != series.prefix:
        raise CannotChange(f"{before} has numbered documents, so its prefix can't change. Create another series.")
    series.full_clean()
    with recorded(by=by):
        series.save(update_fields=["name", "prefix", "width"] if before else None)
    return series


def set_default_series(series: NumberSeries, *, by: User | None) -> None:
    """Make a series the default one, in place of the current default."""
    with transaction.atomic(), recorded(by=by):
        rows = NumberSeries.objects.select_for_update(no_key=True).filter(used_for=series.used_for).order_by("pk")
        for row in sorted(rows, key=lambda row: row.pk == series.pk):  # the old default first: only one can be it
            if row.is_default != (row.pk == series.pk):
                row.is_default = row.pk == series.pk
                row.save(update_fields=["is_default"])
