"""The commitment of a subscription: the current term with its progress, as a fragment of the subscription's page."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.invoicing.commitment_progress import commitment_progress, percent_used
from billing.wording import dates
from config.numbers import number
from config.office.pages import AdminView
from customers.kinds import CommitmentKind
from customers.models import Subscription
from customers.subscriptions import get_commitments


class CommitmentPanel(AdminView):
    """Show how far the current term is used, with usage that isn't invoiced yet, and the commitments of all time."""

    template_name = "admin/billing/commitment/panel.html"
    permission = "customers.view_subscription"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        subscription = get_object_or_404(Subscription, pk=kwargs["subscription_id"])
        commitments = list(get_commitments(subscription.pk))
        status = commitment_progress(subscription.pk, now=timezone.now()) if commitments else None
        period = status.term.served if status else None
        return self.render(
            subscription=subscription,
            rows=[
                {
                    "commitment": commitment,
                    "kind": CommitmentKind(commitment.kind).label.partition(":")[0],
                    "factor": number(commitment.overage_factor),
                }
                for commitment in commitments
            ],
            status=status,
            percent=percent_used(status) if status else None,
            term=dates(period, subscription.timezone) if period else "",
        )
