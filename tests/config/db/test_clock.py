"""The database's clock decides what is due; a machine with another clock does nothing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import tasks
from billing.models import BillingRun, Invoice
from config.db.clock import ClockDiffers, read_clock
from tests.factories import make_subscription

pytestmark = pytest.mark.django_db


def set_clock(monkeypatch, difference):
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + difference)


def test_a_second_apart_is_normal(monkeypatch):
    set_clock(monkeypatch, timedelta(seconds=30))
    before = read_clock()
    assert timezone.now() - before > timedelta(seconds=29)


@pytest.mark.parametrize("difference", [timedelta(days=45), timedelta(days=-45), timedelta(seconds=61)])
def test_a_worker_with_another_clock_bills_and_finalizes_nothing(monkeypatch, difference):
    make_subscription()
    set_clock(monkeypatch, difference)
    for task in (tasks.run_billing, tasks.finalize_due, tasks.expire_credits, tasks.adjust_late_usage):
        with pytest.raises(ClockDiffers, match="No task runs until it is set right"):
            task()
    assert not Invoice.objects.exists()
    assert not BillingRun.objects.exists()
