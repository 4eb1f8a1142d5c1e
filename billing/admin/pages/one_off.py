"""One-off invoices in the admin: written and edited item by item, with what they come to beside them."""

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.lifecycle.one_off import Item, Terms, create_one_off, preview_one_off, update_one_off
from billing.models import Invoice, InvoiceKind, InvoiceLine, LineKind, NumberSeries, SeriesUse
from billing.money import format_amount
from config.numbers import number
from config.office.dialogs import staff
from config.refusals import Refused
from customers.admin import add_customer_action
from customers.admin.forms import DayInput
from customers.models import Customer
from customers.periods import Period, local_date, local_midnight

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

BLANK_ROWS = 2
ONE_DAY = timedelta(days=1)


class OneOffForm(forms.Form):
    """What a one-off invoice says beside its items."""

    customer = forms.ModelChoiceField(
        Customer.objects.all(),
        widget=AutocompleteSelect(Invoice._meta.get_field("customer"), admin.site),
    )
    currency = forms.CharField(
        max_length=3,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"class": "uppercase"}),
        help_text="Three letters, for example USD. Empty: the customer's.",
    )
    due_on = forms.DateField(
        label="Due", required=False, widget=DayInput(), help_text="Empty: in the customer's days to pay."
    )
    series = forms.ModelChoiceField(
        NumberSeries.objects.filter(used_for=SeriesUse.INVOICE),
        label="Number series",
        required=False,
        empty_label="The default one",
        widget=UnfoldAdminSelectWidget,
    )
    memo = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text="Shown to the customer."
    )
    is_credit = forms.BooleanField(
        label="It is a credit",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Lets the total be below zero: finalized, it becomes prepaid credit.",
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def clean_currency(self) -> str:
        customer = self.cleaned_data.get("customer")
        return self.cleaned_data["currency"].upper() or (customer.billing_currency if customer else "")

    def terms(self) -> Terms:
        """Return what was typed beside the items."""
        data, customer = self.cleaned_data, self.cleaned_data["customer"]
        due = local_midnight(data["due_on"], customer.timezone) if data["due_on"] else None
        return Terms(memo=data["memo"], due_at=due, series=data["series"], is_credit=data["is_credit"])


class ItemForm(forms.Form):
    """One charge. An empty row is left out. Days are the customer's, the last one included."""

    description = forms.CharField(max_length=512, required=False, widget=UnfoldAdminTextInputWidget)
    quantity = forms.DecimalField(
        max_digits=24, decimal_places=12, required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "placeholder": "1"}),
    )  # fmt: skip
    unit_amount = forms.DecimalField(
        max_digits=24, decimal_places=12, required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )  # fmt: skip
    first_day = forms.DateField(label="From", required=False, widget=DayInput())
    last_day = forms.DateField(label="To", required=False, widget=DayInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():  # the columns' headings label them for the eye only
            field.widget.attrs["aria-label"] = field.label or name.replace("_", " ").capitalize()

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or {})
        is_written = bool(data.get("description")) or data.get("unit_amount") is not None
        if is_written and not data.get("description"):
            self.add_error("description", "Say what is charged.")
        if is_written and data.get("unit_amount") is None and "unit_amount" not in self.errors:
            self.add_error("unit_amount", "Give an amount; below zero it is a credit.")
        first, last = data.get("first_day"), data.get("last_day")
        if (first is None) != (last is None) or (first is not None and last is not None and last < first):
            self.add_error("last_day", "Give both days of a period, or none.")
        return data

    def item(self, zone: str) -> Item | None:
        """Return the charge, or `None` for an empty row."""
        data = self.cleaned_data
        if not data.get("description"):
            return None
        period = None
        if data["first_day"]:
            ends = local_midnight(data["last_day"] + ONE_DAY, zone)
            period = Period(local_midnight(data["first_day"], zone), ends)
        quantity = {"quantity": data["quantity"]} if data["quantity"] is not None else {}
        return Item(data["description"], data["unit_amount"], period=period, **quantity)


Items = forms.formset_factory(ItemForm, extra=0, min_num=BLANK_ROWS, max_num=200, absolute_max=200)


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the pages' addresses, under the invoice list's."""

    def new_view(request: HttpRequest) -> HttpResponse:
        return one_off_page(page, request)

    def edit_view(request: HttpRequest, invoice_id: int) -> HttpResponse:
        return one_off_page(page, request, invoice_id)

    def effect_view(request: HttpRequest) -> HttpResponse:
        return one_off_effect(request)

    view = page.admin_site.admin_view
    return [
        path("one-off/", view(new_view), name="billing_new_one_off"),
        path("one-off/effect/", view(effect_view), name="billing_one_off_effect"),
        path("<int:invoice_id>/items/", view(edit_view), name="billing_edit_one_off"),
    ]


@action(description="One-off invoice", icon="add_card", permissions=["write_one_off"])
def write_one_off(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Lead from a customer's page to a new one-off invoice of theirs."""
    return HttpResponseRedirect(reverse("admin:billing_new_one_off", query={"customer": object_id}))


def may_write(customers: ModelAdmin, request: HttpRequest, object_id: str | None = None) -> bool:
    return request.user.has_perm("billing.add_invoice")


add_customer_action("write_one_off", write_one_off, allowed=may_write)


def one_off_page(page: "InvoiceAdmin", request: HttpRequest, invoice_id: int | None = None) -> HttpResponse:
    """Write a one-off draft, or edit one. For staff who may add, or change, invoices."""
    if not request.user.has_perm("billing.add_invoice" if invoice_id is None else "billing.change_invoice"):
        raise PermissionDenied
    drafts = Invoice.objects.select_related("customer").filter(kind=InvoiceKind.ONE_OFF)
    invoice = None if invoice_id is None else get_object_or_404(drafts, pk=invoice_id)
    form, items = _forms(request, invoice)
    problem = ""
    if request.method == "POST" and form.is_valid() and items.is_valid():
        try:
            done = _save(request, form, items, invoice)
        except Refused as refused:
            problem = str(refused)
        else:
            return HttpResponseRedirect(done.get_absolute_url())
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Edit {invoice}" if invoice else "New one-off invoice",
        "invoice": invoice,
        "form": form,
        "items": items,
        "problem": problem,
        "back": invoice.get_absolute_url() if invoice else reverse("admin:billing_invoice_changelist"),
    }
    return TemplateResponse(request, "admin/billing/one_off/write.html", context)


def one_off_effect(request: HttpRequest) -> HttpResponse:
    """Answer what the items as typed come to, as a piece of the page. For staff who may add or change invoices."""
    if not (request.user.has_perm("billing.add_invoice") or request.user.has_perm("billing.change_invoice")):
        raise PermissionDenied
    form, items = OneOffForm(request.POST), Items(request.POST, prefix="items")
    form.is_valid()
    items.is_valid()
    customer, currency = form.cleaned_data.get("customer"), form.cleaned_data.get("currency", "")
    context: dict[str, Any] = {"hint": "Choose a customer and write an item: what it comes to shows here."}
    written = _written(items, customer.timezone) if customer else []
    if customer and written:
        try:
            invoice, lines = preview_one_off(customer, written, currency=currency, now=timezone.now())
            context = {"invoice": invoice, "rows": _rows(lines, currency), "total": invoice.total}
        except Refused as refused:
            context = {"problem": str(refused)}
    return render(request, "admin/billing/one_off/effect.html", context)


def _rows(lines: list[InvoiceLine], currency: str) -> list[tuple[str, str]]:
    return [(line.description, format_amount(line.amount, currency)) for line in lines]


def _forms(request: HttpRequest, invoice: Invoice | None) -> tuple[OneOffForm, Any]:
    data = request.POST or None
    if invoice is None:
        start: dict[str, Any] = {"token": secrets.token_hex(16)}
        if request.GET.get("customer", "").isdigit():
            start["customer"] = request.GET["customer"]
        return OneOffForm(data, initial=start), Items(data, prefix="items", initial=[{}])
    form = OneOffForm(data, initial=_typed(invoice))
    for fixed in ("customer", "currency"):
        form.fields[fixed].disabled = True
    zone = invoice.customer.timezone
    charges = invoice.lines.filter(kind=LineKind.ITEM).order_by("position")
    return form, Items(data, prefix="items", initial=[_typed_item(line, zone) for line in charges])


def _typed(invoice: Invoice) -> dict[str, Any]:
    return {
        "customer": invoice.customer,
        "currency": invoice.currency,
        "due_on": local_date(invoice.due_at, invoice.customer.timezone) if invoice.due_at else None,
        "series": invoice.series_id,
        "memo": invoice.memo,
        "is_credit": invoice.total < 0,
    }


def _typed_item(line: InvoiceLine, zone: str) -> dict[str, Any]:
    unit = line.unit_amount if line.unit_amount is not None else line.amount / line.quantity
    ends = line.period_end - ONE_DAY if line.period_end else None
    return {
        "description": line.description,
        "quantity": number(line.quantity).replace(",", ""),
        "unit_amount": number(unit).replace(",", ""),
        "first_day": local_date(line.period_start, zone) if line.period_start else None,
        "last_day": local_date(ends, zone) if ends else None,
    }


def _written(items: Any, zone: str) -> list[Item]:
    found = [form.item(zone) for form in items if hasattr(form, "cleaned_data") and not form.errors]
    return [item for item in found if item is not None]


def _save(request: HttpRequest, form: OneOffForm, items: Any, invoice: Invoice | None) -> Invoice:
    customer, now = form.cleaned_data["customer"], timezone.now()
    written = _written(items, customer.timezone)
    if invoice is not None:
        return update_one_off(invoice, written, terms=form.terms(), now=now, by=staff(request))
    token = form.cleaned_data["token"]
    return create_one_off(
        customer,
        written,
        currency=form.cleaned_data["currency"],
        terms=form.terms(),
        external_reference=f"admin:{token}" if token else None,
        now=now,
        by=staff(request),
    )
