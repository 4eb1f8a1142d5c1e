"""Agreed terms of a subscription: the page that agrees them, their effect on invoices, and the deal beside the list."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.admin.forms.terms import AddedRow, TermsForm, make_rows, read_edits_of
from billing.admin.pages.agreeing import AgreeingEffect, AgreeingPage, AgreeingView
from billing.admin.pages.plan_changes import describe_period
from billing.invoicing.deal import deal_of
from billing.invoicing.previews import preview_change
from billing.wording import dates
from catalog.agreed.content import read_content
from config.office.dialogs import staff
from config.office.pages import AdminView
from config.refusals import Refused
from customers.admin.subscriptions.change_forms import DATE, PERIOD_END
from customers.models import Subscription, SubscriptionPhase
from customers.periods import local_midnight
from customers.subscriptions import agree_terms, get_period_end


class _TermsView(AgreeingView):
    """The form of each price, of an additional charge, and of when the terms apply."""

    def make_forms(self, phase: SubscriptionPhase, data: Any) -> None:
        self.form, self.added = TermsForm(data), AddedRow(data, prefix="added")
        self.rows = make_rows(read_content(phase.plan_version.terms), self.subscription, data)

    def are_rows_valid(self) -> bool:
        rows = [row.is_valid() for row in (*self.rows, self.added)]
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


class TermsPage(_TermsView, AgreeingPage):
    """Agree terms with a subscription that differ from its plan's, with their effect on invoices before saving."""

    template_name = "admin/billing/terms/page.html"
    noun = "terms"

    def fields_of_page(self) -> dict[str, Any]:
        return super().fields_of_page() | {"added": self.added}


class TermsEffect(_TermsView, AgreeingEffect):
    """Show what the terms in the form do to invoices."""

    template_name = "admin/billing/change/effect.html"

    def is_complete(self) -> bool:
        self.form.is_valid()
        return self.are_rows_valid() and not {"when", "day", "until"} & set(self.form.errors)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_asked = bool({"effect", "problem"} & set(kwargs))
        return super().get_context_data(change="terms", is_asked=is_asked, **kwargs)

    def preview(self, request: HttpRequest) -> dict[str, Any]:
        effect = preview_change(self.subscription, lambda: self.agree("Preview", request), now=self.now)
        return {"effect": effect, "period": describe_period(self.subscription, effect)}


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
