"""Phases of a subscription's terms: entered at once, with the invoices to come before saving."""

from typing import Any

from django.http import HttpRequest

from billing.admin.forms.phases import PhaseFormSet, PhasesForm, phases_of
from billing.admin.pages.agreeing import AgreeingEffect, AgreeingPage, AgreeingView
from billing.invoicing.forecast import preview_coming
from billing.wording import dates
from catalog.agreed.content import read_content
from config.office.dialogs import staff
from config.refusals import Refused
from customers.models import SubscriptionPhase
from customers.periods import local_date
from customers.subscriptions import agree_phases


class _PhasesView(AgreeingView):
    """A row for each change from a day on."""

    def make_forms(self, phase: SubscriptionPhase, data: Any) -> None:
        self.form = PhasesForm(data)
        content = read_content(phase.plan_version)
        self.rows = PhaseFormSet(data, prefix="phases", form_kwargs={"content": content})

    def are_rows_valid(self) -> bool:
        return bool(self.rows.is_valid())

    def agree(self, reason: str, request: HttpRequest) -> None:
        phases = phases_of(list(self.rows), self.subscription)
        if not phases:
            raise Refused("Nothing is entered yet.")
        agree_phases(self.subscription, phases, now=self.now, by=staff(request), reason=reason)


class PhasesPage(_PhasesView, AgreeingPage):
    """Enter phases of a subscription's terms, with the invoices to come."""

    template_name = "admin/billing/phases/page.html"
    noun = "phases"


class PhasesEffect(_PhasesView, AgreeingEffect):
    """Show the invoices of the next periods with the phases in the form."""

    template_name = "admin/billing/phases/effect.html"

    def is_complete(self) -> bool:
        return self.are_rows_valid() and bool(phases_of(list(self.rows), self.subscription))

    def preview(self, request: HttpRequest) -> dict[str, Any]:
        coming = preview_coming(self.subscription, lambda: self.agree("Preview", request), now=self.now)
        zone = self.subscription.timezone
        return {"coming": [(local_date(row.due_at, zone), dates(row.period, zone), row) for row in coming]}
