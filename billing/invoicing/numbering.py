"""Drawing numbers: one after the other, without a gap, from the series that was picked or the default one."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import NumberSeries, SeriesUse
from config.audit import recorded

FIRST = {SeriesUse.INVOICE: ("invoices", "INV-"), SeriesUse.CREDIT_NOTE: ("credit notes", "CN-")}


def default_series(use: SeriesUse) -> NumberSeries:
    """Return the series that numbers come from unless another was picked. Made the first time it is asked for."""
    found = NumberSeries.objects.filter(used_for=use, is_default=True).first()
    if found is not None:
        return found
    name, prefix = FIRST[use]
    made, _ = NumberSeries.objects.get_or_create(
        name=name, defaults={"prefix": prefix, "used_for": use, "is_default": True}
    )
    return made


def draw_numbers(use: SeriesUse, picked: Sequence[int | None]) -> list[tuple[NumberSeries, str]]:
    """Draw a number for each picked series, `None` being the default one, in their order.

    The series are locked until the transaction ends, so others who want a number wait; a rollback loses none.
    """
    default = default_series(use).pk if None in picked else 0
    keys = [default if key is None else key for key in picked]
    locked = NumberSeries.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    series = {each.pk: each for each in locked}
    drawn = [(series[key], series[key].draw()) for key in keys]
    for each in series.values():
        each.save(update_fields=["next_number"])
    return drawn


def make_default(series: NumberSeries, *, by: User | None) -> None:
    """Draw numbers from a series from now on, unless another is picked. It takes over from the default one before."""
    with transaction.atomic(), recorded(by=by):
        rows = NumberSeries.objects.select_for_update(no_key=True).filter(used_for=series.used_for).order_by("pk")
        for each in sorted(rows, key=lambda row: row.pk == series.pk):  # the old one lets go first
            if each.is_default != (each.pk == series.pk):
                each.is_default = each.pk == series.pk
                each.save(update_fields=["is_default"])
