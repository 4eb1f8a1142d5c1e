"""The page of planned reminders: what is left for today and what is due tomorrow, in money."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from billing.admin.shared import format_totals
from billing.models import CompanyProfile
from billing.money import format_amount
from billing.reminders.planning import PlannedReminder, company_day, plan_reminders, plan_tomorrow
from config.office.pages import AdminPage

MOST_ROWS = 200


class PlannedRemindersPage(AdminPage):
    """Show the reminders of today that aren't sent yet, if there are any, and those of tomorrow."""

    title = "Planned"
    template_name = "admin/billing/reminder/planned.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        today = company_day(now)
        tomorrow = today + timedelta(days=1)
        left = list(plan_reminders(today))
        days = [_describe_day("Tomorrow", tomorrow, plan_tomorrow(today, tomorrow))]
        if left:
            days.insert(0, _describe_day("Still today", today, left))
        return self.render(days=days, as_of=now, zone=CompanyProfile.current().timezone)


def _describe_day(title: str, day: date, planned: Sequence[PlannedReminder]) -> dict[str, Any]:
    return {
        "title": title,
        "date": day,
        "count": len(planned),
        "total": format_totals((row.invoice.currency, row.amount) for row in planned),
        "rows": [{"planned": row, "actions": describe_actions(row)} for row in planned[:MOST_ROWS]],
        "more": max(len(planned) - MOST_ROWS, 0),
        "empty": "No reminders. Invoices that are paid, paused or below the minimum aren't reminded of.",
    }


def describe_actions(planned: PlannedReminder) -> str:
    """Say what a step does: Payment reminder with statement of account, late fee of $40.00, task."""
    step, parts = planned.step, []
    if step.email:
        parts.append(f"{step.get_email_display()} with {step.get_attachment_display().lower()}")
    if step.fee_amount is not None and step.fee_currency == planned.invoice.currency:
        parts.append(f"late fee of {format_amount(step.fee_amount, step.fee_currency)}")
    if step.interest_percent is not None:
        parts.append(f"interest of {step.interest_percent.normalize():f}%")
    if step.pauses_subscription:
        parts.append("pause the subscription")
    if step.needs_person:
        parts.append("task")
    return ", ".join(parts)
