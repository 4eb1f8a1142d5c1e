"""Agreed terms of a subscription: the page that agrees them, their effect on invoices, and the deal beside the list."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.admin.forms.terms import AddedRow, TermsForm, make_rows, read_edits_of
from billing.admin.pages.plan_changes import describe_period
from billing.invoicing.deal import deal_of
from billing.invoicing.previews import preview_change
from billing.wording import dates
from catalog.agreed.content import read_content
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import open_page, refusal_text, staff
from config.office.links import page_of
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused
from customers.admin.subscriptions.change_forms import DATE, PERIOD_END
from customers.models import Subscription
from customers.periods import local_midnight
from customers.subscriptions import agree_terms, get_period_end, get_phase_at


class _TermsView(AdminView):
    """What the page and its preview share: the forms of a subscription's terms, and the change they describe."""

    subscription: Subscription
    now: datetime

    def has_permission(self) -> bool:
        return bool(self.request.user.has_perm("customers.change_subscription"))

    def read_forms(self, subscription_id: int, data: Any = None) -> None:
        """Read the subscription and the terms in force, or the first ones, and make the forms."""
        self.subscription = get_object_or_404(Subscription.objects.select_related("customer"), pk=subscription_id)
        self.now = timezone.now()
        phase = get_phase_at(self.subscription, max(self.now, self.subscription.started_at))
        self.form, self.added = TermsForm(data), AddedRow(data, prefix="added")
        self.rows = [] if phase is None else make_rows(read_content(phase.plan_version.terms), self.subscription, data)
        self.has_ended = phase is None

    def are_rows_valid(self) -> bool:
        rows = [row.is_valid() for row in (*self.rows, self.added)]  # each shows its errors
        return all(rows)

    def moment(self) -> datetime:
        """Return from when on the terms apply: not before the start."""
        data, subscription = self.form.cleaned_data, self.subscription
        at = self.now
        if data["when"] == PERIOD_END:
            at = get_period_end(subscription, self.now)
        if data["when"] == DATE:
            at = local_midnight(data["day"], subscription.timezone)
        return max(at, subscription.started_at)

    def agree(self, reason: str, request: HttpRequest) -> None:
        """Agree the terms of the valid forms. Raises what `agree_terms` raises."""
        edits = read_edits_of(self.rows, self.added, self.subscription)
        if not edits:
            raise Refused("Nothing is changed yet.")
        until = self.form.cleaned_data.get("until")
        agree_terms(
            self.subscription,
            edits,
            at=self.moment(),
            until=local_midnight(until, self.subscription.timezone) if until else None,
            now=self.now,
            by=staff(request),
            reason=reason,
            invoicing=self.form.cleaned_data["invoicing"],
        )


class TermsPage(_TermsView, AdminPage):
    """Agree terms with a subscription that differ from its plan's, with their effect on invoices before saving."""

    template_name = "admin/billing/terms/page.html"

    def get_title(self) -> str:
        return f"Agree terms with {self.subscription.customer}"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"])
        return self.show()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"], request.POST)
        if not (self.are_rows_valid() and self.form.is_valid()):
            return self.show("Correct the fields that are marked.")
        try:
            self.agree(self.form.cleaned_data["reason"], request)
        except (Refused, ValidationError) as refusal:
            return self.show(refusal_text(refusal))
        except ApprovalNeeded as needed:
            request_approval(needed, now=self.now)
            return open_page(
                request, page_of(self.subscription), "The terms wait for approval.", level=messages.WARNING
            )
        return open_page(request, page_of(self.subscription), "The terms are agreed.")

    def show(self, problem: str = "") -> HttpResponse:
        return self.render(
            subscription=self.subscription,
            form=self.form,
            rows=self.rows,
            added=self.added,
            problem=problem,
            has_ended=self.has_ended,
            back=page_of(self.subscription),
        )


class TermsEffect(_TermsView):
    """Show what the terms in the form do to invoices, as a fragment of the page. Saves nothing."""

    template_name = "admin/billing/change/effect.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read_forms(kwargs["subscription_id"], request.POST)
        self.form.is_valid()  # the reason may still be missing
        is_complete = self.are_rows_valid() and not {"when", "day", "until"} & set(self.form.errors)
        context: dict[str, Any] = {"subscription": self.subscription, "change": "terms", "is_asked": is_complete}
        if is_complete:
            try:
                effect = preview_change(self.subscription, lambda: self.agree("Preview", request), now=self.now)
                context |= {"effect": effect, "period": describe_period(self.subscription, effect)}
            except (Refused, ValidationError) as refusal:
                context["problem"] = refusal_text(refusal)
        return self.render(**context)


class DealPanel(AdminView):
    """Show the agreed terms in force beside the list, as a fragment of the subscription's page."""

    template_name = "admin/billing/terms/deal.html"
    permission = "customers.view_subscription"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        subscription = get_object_or_404(Subscription, pk=kwargs["subscription_id"])
        deal = deal_of(subscription, now=timezone.now())
        period = deal.by_list.period if deal and deal.by_list else None
        return self.render(
            subscription=subscription,
            deal=deal,
            period=dates(period, subscription.timezone) if period else "",
            can_change=request.user.has_perm("customers.change_subscription"),
        )
