"""Closing a month: who and when, with the figures of that moment; what changes later; reopening with a reason."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from billing.models import MonthClosing
from billing.month_end.closing import close_month, current_closing, list_later_changes, reopen_month
from billing.month_end.latest import latest_report
from billing.month_end.months import Month
from billing.month_end.report import table_rows
from billing.refusals import CannotChange
from billing.settlement.payments import Receipt, record_payment
from config.audit import changes_of
from config.refusals import ReasonRequired
from tests.admin_pages import as_viewer, text_of
from tests.billing.invoices import make_finalized
from tests.billing.world import D, utc
from tests.config.webhooks.messages import make_endpoint, sent_messages
from tests.factories import make_user
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
OCTOBER = Month.named("2026-10")
NOW, LATER = utc(2026, 11, 3), utc(2026, 11, 9)


def close(now=NOW, by=None):
    return close_month(latest_report(OCTOBER, now=now), now=now, by=by)


def later_changes(closing):
    changes = list_later_changes(closing, table_rows(latest_report(OCTOBER, now=LATER)))
    return {(change.section, change.item): (change.before, change.after) for change in changes}


def test_a_closed_month_keeps_its_figures_and_lists_what_changes_later():
    make_finalized("100")
    invoice = make_finalized("30")
    by = make_user()
    closing = close(by=by)
    assert (closing.closed_by, closing.closed_at) == (by, NOW)
    assert later_changes(closing) == {}
    # A payment that was received in October and recorded in November.
    record_payment(invoice, Receipt(D(30), utc(2026, 10, 20).date()), now=LATER, by=None)
    assert later_changes(closing) == {
        ("Balance", "Payments"): (D(0), D(-30)),
        ("Balance", "Open at the end"): (D(130), D(100)),
    }


def test_closing_again_returns_the_first_closing_and_a_running_month_is_refused():
    first = close()
    assert close(now=LATER) == first
    with pytest.raises(CannotChange, match="October 2026 ends on 2026-10-31"):
        close(now=utc(2026, 10, 31, 23))


def test_reopening_needs_a_reason_and_is_recorded():
    with pytest.raises(CannotChange, match="isn't closed"):
        reopen_month(OCTOBER, reason="Wrong", now=NOW, by=None)
    close()
    with pytest.raises(ReasonRequired):
        reopen_month(OCTOBER, reason=" ", now=NOW, by=None)
    by = make_user()
    reopened = reopen_month(OCTOBER, reason="A payment was missing", now=LATER, by=by)
    assert (reopened.reopened_by, reopened.reopen_reason, current_closing(OCTOBER)) == (
        by,
        "A payment was missing",
        None,
    )
    entry = changes_of([reopened]).first()
    assert (entry.actor, entry.additional_data["reason"]) == (by, "A payment was missing")
    assert close(now=LATER) != reopened


def test_the_database_keeps_the_figures_of_a_closed_month():
    closing = close()
    for statement in ("UPDATE billing_monthclosing SET figures = '[]'", "DELETE FROM billing_monthclosing"):
        with as_owner(), pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    closing.refresh_from_db()
    assert closing.figures


def test_closing_and_reopening_send_webhooks():
    make_endpoint()
    close()
    reopen_month(OCTOBER, reason="Wrong", now=LATER, by=None)
    assert [event for event, _ in sent_messages()] == ["month.closed", "month.reopened"]


def test_the_api_closes_shows_and_reopens_a_month(api):
    make_finalized("100")
    assert api.get("month-ends/2026-10/closing")["is_closed"] is False
    closing = api.post("month-ends/2026-10/close")
    assert closing["month"] == "2026-10"
    shown = api.get("month-ends/2026-10/closing")
    assert (shown["closing"]["id"], shown["later_changes"]) == (closing["id"], [])
    assert api.post("month-ends/2026-10/reopen", {"reason": "Wrong"})["reopen_reason"] == "Wrong"
    api.post("month-ends/2026-13/close", status=404)


def test_the_page_closes_and_reopens_the_month_with_the_permission(staff_client):
    page = f"{reverse('admin:billing_month_end')}?month=2026-10"
    close_url, reopen_url = (reverse(f"admin:billing_month_{name}") + "?month=2026-10" for name in ("close", "reopen"))
    assert "Close October 2026" in text_of(staff_client.get(page))
    assert "is closed" in text_of(staff_client.post(close_url, follow=True))
    assert "Nothing has changed since" in text_of(staff_client.get(page))
    viewer = as_viewer("billing")
    assert viewer.post(reopen_url, {"reason": "x"}).status_code == 403
    assert "Reopen month" not in text_of(viewer.get(page))
    assert "Still open today" in text_of(viewer.get(page))
    file = b"".join(staff_client.get(f"{page}&closed=yes&format=csv").streaming_content).decode()
    assert "As of" in file
    staff_client.post(reopen_url, {"reason": "Wrong"})
    assert MonthClosing.objects.get().reopen_reason == "Wrong"
    shown = text_of(viewer.get(page))
    assert "reopened on" in shown
    assert "by staff: Wrong" in shown
    assert "Closing a month needs the permission" in shown
