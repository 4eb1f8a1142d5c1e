"""What the pages that agree something with a subscription share: its forms, the preview beside them, and agreeing."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import open_page, refusal_text
from config.office.links import page_of
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused
from customers.models import Subscription, SubscriptionPhase
from customers.subscriptions import get_phase_at


class AgreeingView(AdminView):
    """The subscription, its terms in force, or the first ones, and the forms that change them."""

    subscription: Subscription
    now: datetime
    form: Any  # with the reason
    rows: Any = ()

    def has_permission(self) -> bool:
        return bool(self.request.user.has_perm("customers.change_subscription"))

    def read(self, subscription_id: int, data: Any = None) -> None:
        """Read the subscription and make the forms, unless it has ended."""
        self.subscription = get_object_or_404(Subscription.objects.select_related("customer"), pk=subscription_id)
        self.now = timezone.now()
        phase = get_phase_at(self.subscription, max(self.now, self.subscription.started_at))
        self.has_ended = phase is None
        if phase is not None:
            self.make_forms(phase, data)

    def make_forms(self, phase: SubscriptionPhase, data: Any) -> None:
        """Set `form` and `rows`, and what else the page has."""
        raise NotImplementedError

    def are_rows_valid(self) -> bool:
        """Validate all rows, so that each shows its errors."""
        raise NotImplementedError

    def agree(self, reason: str, request: HttpRequest) -> None:
        """Agree what the valid forms say. Raises what the domain's function raises."""
        raise NotImplementedError


class AgreeingPage(AgreeingView, AdminPage):
    """Show the forms with their effect on invoices, and agree what they say."""

    noun = ""  # what is agreed: "terms"

    def get_title(self) -> str:
        return f"Agree {self.noun} with {self.subscription.customer}"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read(kwargs["subscription_id"])
        return self.show()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read(kwargs["subscription_id"], request.POST)
        if self.has_ended:
            return self.show()
        if not all([self.are_rows_valid(), self.form.is_valid()]):
            return self.show("Correct the fields that are marked.")
        try:
            self.agree(self.form.cleaned_data["reason"], request)
        except (Refused, ValidationError) as refusal:
            return self.show(refusal_text(refusal))
        except ApprovalNeeded as needed:
            request_approval(needed, now=self.now)
            text = f"The {self.noun} wait for approval."
            return open_page(request, page_of(self.subscription), text, level=messages.WARNING)
        return open_page(request, page_of(self.subscription), f"The {self.noun} are agreed.")

    def show(self, problem: str = "") -> HttpResponse:
        return self.render(
            subscription=self.subscription,
            problem=problem,
            has_ended=self.has_ended,
            back=page_of(self.subscription),
            **({} if self.has_ended else self.fields_of_page()),
        )

    def fields_of_page(self) -> dict[str, Any]:
        """Return the forms for the template."""
        return {"form": self.form, "rows": self.rows}


class AgreeingEffect(AgreeingView):
    """Show what the forms do to invoices, as a fragment of the page. Saves nothing."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.read(kwargs["subscription_id"], request.POST)
        context: dict[str, Any] = {"subscription": self.subscription}
        if not self.has_ended and self.is_complete():
            try:
                context |= self.preview(request)
            except (Refused, ValidationError) as refusal:
                context["problem"] = refusal_text(refusal)
        return self.render(**context)

    def is_complete(self) -> bool:
        """Tell whether there is something to preview. The reason may still be missing."""
        raise NotImplementedError

    def preview(self, request: HttpRequest) -> dict[str, Any]:
        """Return the effect for the template. Raises what `agree` raises."""
        raise NotImplementedError
