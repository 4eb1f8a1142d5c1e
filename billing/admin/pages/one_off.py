"""Pages to create and edit one-off invoices and to edit subscriptions' drafts, with a running total."""

import secrets
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action

from billing.admin.forms.one_off import (
    DraftForm,
    ItemFormSet,
    OneOffForm,
    initial_details,
    initial_item,
    read_items,
)
from billing.lifecycle.extra_lines import extra_lines_of, preview_extra_lines, set_extra_lines
from billing.lifecycle.one_off import OneOffTerms, amend, create_one_off, preview_one_off, update_one_off
from billing.models import Invoice, InvoiceKind, InvoiceState, LineKind
from billing.money import format_amount
from config.office.dialogs import staff
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused
from customers.admin import add_customer_action


@action(description="One-off invoice", icon="add_card", permissions=["write_one_off"])
def write_one_off(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Open the form for a new one-off invoice for the customer."""
    return HttpResponseRedirect(reverse("admin:billing_new_one_off", query={"customer": object_id}))


def may_write(customers: ModelAdmin, request: HttpRequest, object_id: str | None = None) -> bool:
    return request.user.has_perm("billing.add_invoice")


add_customer_action("write_one_off", write_one_off, allowed=may_write)


class ItemsPage(AdminPage):
    """A form with items. Subclasses create or edit an invoice with it."""

    template_name = "admin/billing/one_off/write.html"
    items_title = "Items"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show_form(*self.build_forms(None))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, formset = self.build_forms(request.POST)
        problem = ""
        if form.is_valid() and formset.is_valid():
            try:
                return HttpResponseRedirect(self.save(form, formset).get_absolute_url())
            except Refused as refusal:
                problem = str(refusal)
        return self.show_form(form, formset, problem)

    def show_form(self, form: forms.Form, formset: Any, problem: str = "") -> HttpResponse:
        return self.render(
            form=form,
            items=formset,
            problem=problem,
            items_title=self.items_title,
            effect_url=self.effect_url(),
        )

    def effect_url(self) -> str:
        """Return the address that shows the effect of the items while they are entered."""
        return reverse("admin:billing_one_off_effect")

    def build_forms(self, data: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def save(self, form: Any, formset: Any) -> Invoice:
        raise NotImplementedError


class NewOneOff(ItemsPage):
    """Create a one-off draft. Submitting the form twice creates one draft."""

    permission = "billing.add_invoice"
    title = "New one-off invoice"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(invoice=None, back=reverse("admin:billing_invoice_changelist"), **kwargs)

    def build_forms(self, data: Any) -> tuple[OneOffForm, Any]:
        initial: dict[str, Any] = {"token": secrets.token_hex(16)}
        if self.request.GET.get("customer", "").isdigit():
            initial["customer"] = self.request.GET["customer"]
        return OneOffForm(data, initial=initial), ItemFormSet(data, prefix="items", initial=[{}])

    def save(self, form: OneOffForm, formset: Any) -> Invoice:
        customer, token = form.cleaned_data["customer"], form.cleaned_data["token"]
        return create_one_off(
            customer,
            read_items(formset, customer.timezone),
            currency=form.cleaned_data["currency"],
            terms=form.terms(),
            external_reference=f"admin:{token}" if token else None,
            now=timezone.now(),
            by=staff(self.request),
        )


class EditOneOff(ItemsPage):
    """Edit a one-off draft."""

    permission = "billing.change_invoice"
    invoice: Invoice

    def build_forms(self, data: Any) -> tuple[OneOffForm, Any]:
        invoices = Invoice.objects.select_related("customer").filter(kind=InvoiceKind.ONE_OFF)
        self.invoice = get_object_or_404(invoices, pk=self.kwargs["invoice_id"])
        form = OneOffForm(data, initial=initial_details(self.invoice))
        for name in ("customer", "currency"):
            form.fields[name].disabled = True
        lines = self.invoice.lines.filter(kind=LineKind.ITEM).order_by("position")
        initial = [initial_item(line, self.invoice.timezone) for line in lines]
        return form, ItemFormSet(data, prefix="items", initial=initial)

    def get_title(self) -> str:
        return f"Edit {self.invoice}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(invoice=self.invoice, back=self.invoice.get_absolute_url(), **kwargs)

    def save(self, form: OneOffForm, formset: Any) -> Invoice:
        return update_one_off(
            self.invoice,
            read_items(formset, self.invoice.timezone),
            terms=form.terms(),
            now=timezone.now(),
            by=staff(self.request),
        )


class EditDraft(ItemsPage):
    """Edit what people add to a subscription's draft: PO number, memo and extra lines."""

    permission = "billing.change_invoice"
    items_title = "Extra lines"
    invoice: Invoice

    def build_forms(self, data: Any) -> tuple[DraftForm, Any]:
        self.invoice = load_draft(self.kwargs["invoice_id"])
        form = DraftForm(data, initial={"po_number": self.invoice.po_number, "memo": self.invoice.memo})
        initial = [initial_item(line, self.invoice.timezone) for line in extra_lines_of(self.invoice)]
        return form, ItemFormSet(data, prefix="items", initial=initial)

    def effect_url(self) -> str:
        return reverse("admin:billing_draft_effect", args=[self.invoice.pk])

    def get_title(self) -> str:
        return f"Edit {self.invoice}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(invoice=self.invoice, back=self.invoice.get_absolute_url(), **kwargs)

    def save(self, form: DraftForm, formset: Any) -> Invoice:
        now, by = timezone.now(), staff(self.request)
        items = read_items(formset, self.invoice.timezone)
        with transaction.atomic():
            set_extra_lines(self.invoice, items, now=now, by=by)
            return amend(
                self.invoice,
                memo=form.cleaned_data["memo"],
                po_number=form.cleaned_data["po_number"],
                now=now,
                by=by,
            )


class DraftEffect(AdminView):
    """Show a subscription's draft's total with the extra lines in the form, as a fragment of the page."""

    permission = "billing.change_invoice"
    template_name = "admin/billing/one_off/effect.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice, formset = load_draft(kwargs["invoice_id"]), ItemFormSet(request.POST, prefix="items")
        formset.is_valid()
        try:
            items = read_items(formset, invoice.timezone)
            total = preview_extra_lines(invoice, items, now=timezone.now())
        except Refused as refusal:
            return self.render(problem=str(refusal))
        rows = [("Total now", format_amount(invoice.total, invoice.currency))]
        return self.render(invoice=invoice, rows=rows, total=total, total_name="Total after saving")


def load_draft(invoice_id: int) -> Invoice:
    """Return a subscription's draft, or raise 404."""
    drafts = Invoice.objects.filter(state=InvoiceState.DRAFT, subscription__isnull=False)
    return get_object_or_404(drafts.select_related("customer", "subscription"), pk=invoice_id)


class OneOffEffect(AdminView):
    """Show the lines and the total of the form's items, as a fragment of the page."""

    template_name = "admin/billing/one_off/effect.html"
    http_method_names = ("post",)

    def has_permission(self) -> bool:
        user = self.request.user
        return user.has_perm("billing.add_invoice") or user.has_perm("billing.change_invoice")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, formset = OneOffForm(request.POST), ItemFormSet(request.POST, prefix="items")
        form.is_valid()
        formset.is_valid()
        customer, currency = form.cleaned_data.get("customer"), form.cleaned_data.get("currency", "")
        items = read_items(formset, customer.timezone) if customer else []
        if customer is None or not items:
            return self.render(hint="Choose a customer and enter an item to see the total here.")
        try:
            terms = OneOffTerms(
                coupons=list(form.cleaned_data.get("coupons", ())),
                tax_rates=list(form.cleaned_data.get("tax_rates", ())),
            )
            invoice, lines = preview_one_off(customer, items, currency=currency, terms=terms, now=timezone.now())
        except Refused as refusal:
            return self.render(problem=str(refusal))
        rows = [(line.description, format_amount(line.amount, currency)) for line in lines]
        return self.render(invoice=invoice, rows=rows, total=invoice.total)
