"""Phases of a subscription's terms: entered at once, with the invoices to come before saving."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.admin.forms.phases import PhaseFormSet, PhasesForm, phases_of
from billing.invoicing.forecast import preview_coming
from billing.wording import dates
from catalog.agreed.content import read_content
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import open_page, refusal_text, staff
from config.office.links import page_of
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused
from customers.models import Subscription
from customers.periods import local_date
from customers.subscriptions import agree_phases, get_phase_at


class _PhasesView(AdminView):
    """What the page and its preview share: the rows, and the phases that they describe."""

    subscription: Subscription

    def has_permission(self) -> bool:
        return bool(self.request.user.has_perm("customers.change_subscription"))

    def read_forms(self, subscription_id: int, data: Any = None) -> None:
        self.subscription = get_object_or_404(Subscription.objects.select_related("customer"), pk=subscription_id)
        self.now = timezone.now()
        phase = get_phase_at(self.subscription, max(self.now, self.subscription.started_at))
        self.has_ended = phase is None
        self.form = PhasesForm(data)
        self.rows: Any = None
        if phase is not None:
            content = read_content(phase.plan_version)
            self.rows = PhaseFormSet(data, prefix="phases", form_kwargs={"content": content})

    def agree(self, reason: str, request: HttpRequest) -> None:
        """Agree the phases of the valid rows. Raises what `agree_phases` raises."""
        phases = phases_of(list(self.rows), self.subscription)
        if not phases:
            raise Refused("Nothing is entered yet.")
        agree_phases(self.subscription, phases, now=self.now, by=staff(request), reason=reason)


class PhasesPage(_PhasesView, AdminPage):
    """Enter phases of a subscription's terms, with the invoices to come."""

    template_name = "admin/billing/phases/page.html"

    def get_title(self) -> str:
        return f"Agree phases with {self.subscription.customer}"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"])
        return self.show()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"], request.POST)
        if self.has_ended or not all([self.rows.is_valid(), self.form.is_valid()]):
            return self.show("" if self.has_ended else "Correct the fields that are marked.")
        try:
            self.agree(self.form.cleaned_data["reason"], request)
        except (Refused, ValidationError) as refusal:
            return self.show(refusal_text(refusal))
        except ApprovalNeeded as needed:
            request_approval(needed, now=self.now)
            return open_page(
                request, page_of(self.subscription), "The phases wait for approval.", level=messages.WARNING
            )
        return open_page(request, page_of(self.subscription), "The phases are agreed.")

    def show(self, problem: str = "") -> HttpResponse:
        return self.render(
            subscription=self.subscription,
            form=self.form,
            rows=self.rows,
            problem=problem,
            has_ended=self.has_ended,
            back=page_of(self.subscription),
        )


class PhasesEffect(_PhasesView):
    """Show the invoices of the next periods with the phases in the form, as a fragment. Saves nothing."""

    template_name = "admin/billing/phases/effect.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"], request.POST)
        context: dict[str, Any] = {"subscription": self.subscription}
        if not self.has_ended and self.rows.is_valid() and phases_of(list(self.rows), self.subscription):
            try:
                coming = preview_coming(self.subscription, lambda: self.agree("Preview", request), now=self.now)
                zone = self.subscription.timezone
                context["coming"] = [(local_date(row.due_at, zone), dates(row.period, zone), row) for row in coming]
            except (Refused, ValidationError) as refusal:
                context["problem"] = refusal_text(refusal)
        return self.render(**context)
