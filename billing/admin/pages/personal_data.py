"""A customer's personal data: what is stored, its export, and its erasure."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action as plain_action
from unfold.enums import ActionVariant

from billing.personal_data.erasing import find_erasure, start_erasure
from billing.personal_data.export import start_export
from billing.personal_data.preview import preview_erasure
from billing.personal_data.retention import kept_until
from billing.tasks import enqueue_erasures
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.files import file_name
from config.office.pages import AdminPage, AdminView
from config.office.wording import local_day
from config.signin.confirming import confirmed_method
from customers.admin import add_customer_action, add_customer_notice
from customers.models import Customer

VIEW = "config.view_personaldataerasure"
ERASE = "config.add_personaldataerasure"


def page_url(customer: Customer) -> str:
    return reverse("admin:billing_personal_data", args=[customer.pk])


class PersonalDataPage(AdminPage):
    """Show what an erasure would erase and keep, and why; after it, what is kept and until when."""

    template_name = "admin/billing/personal_data.html"
    permission = VIEW

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        customer = get_object_or_404(Customer, pk=kwargs["customer_id"])
        erasure = find_erasure(customer)
        return self.render(
            title=f"Personal data of {customer}",
            customer=customer,
            erasure=erasure,
            preview=preview_erasure(customer, now=timezone.now()),
            may_erase=erasure is None and request.user.has_perm(ERASE),
        )


class PersonalDataFile(AdminView):
    """Download everything that is stored about the customer. It is a POST, because the change log notes it."""

    permission = VIEW
    http_method_names = ("post",)

    @confirmed_method
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        customer = get_object_or_404(Customer, pk=kwargs["customer_id"])
        content = start_export(customer, by=staff(request), now=timezone.now())
        response = StreamingHttpResponse(content, content_type="application/json")
        name = file_name(f"personal-data-{customer.public_id}")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return response


@plain_action(description="Personal data", icon="shield_person", permissions=["open_personal_data"])
def open_personal_data(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """Open the page about the customer's personal data."""
    return HttpResponseRedirect(reverse("admin:billing_personal_data", args=[object_id]))


@action(
    description="Erase personal data",
    icon="person_off",
    variant=ActionVariant.DANGER,
    permissions=["erase_personal_data"],
    confirmed=True,
    dialog=confirm(
        "Erase this customer's personal data?",
        "This can't be undone. Names, addresses, free texts and event properties are erased for good, except on "
        "documents that tax law requires. Don't name anyone in the reason: it is kept.",
        "Erase",
        ReasonForm,
    ),
)
def erase_personal_data(customers: ModelAdmin, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
    """Start the erasure of the customer's personal data."""
    customer, now = get_object_or_404(Customer, pk=object_id), timezone.now()
    try:
        start_erasure(customer, reason=form.cleaned_data["reason"], now=now, by=staff(request))
    except ApprovalNeeded as needed:
        approval = request_approval(needed, now=now)
        return open_page(request, page_url(customer), f"Waiting for approval: {approval}.", level=messages.WARNING)
    enqueue_erasures()
    return open_page(request, page_url(customer), "The personal data is being erased.")


def _may_see(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm(VIEW)


def _may_erase(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm(ERASE) and Customer.objects.filter(pk=object_id, erased_at=None).exists()


def show_erasure(request: HttpRequest, customer: Customer) -> tuple[str, str] | None:
    """Say on the customer's page that the personal data was erased, and what is kept until when."""
    if customer.erased_at is None or (erasure := find_erasure(customer)) is None:
        return None
    if erasure.finished_at is None:
        return "The personal data of this customer is being erased.", page_url(customer)
    until = kept_until(customer.pk)
    kept = f" Kept: issued documents and payments, until {until}." if until else ""
    return f"Personal data erased on {local_day(erasure.finished_at)}.{kept}", page_url(customer)


add_customer_action("open_personal_data", open_personal_data, allowed=_may_see)
add_customer_action("erase_personal_data", erase_personal_data, allowed=_may_erase)
add_customer_notice(show_erasure)
