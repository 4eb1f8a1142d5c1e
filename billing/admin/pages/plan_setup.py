"""The page that sets up a plan in one form, with a calculator that rates as invoices do."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from billing.admin.forms.plan_setup import PlanSetupForm, SoldFeatureForm, SoldFeatureFormSet
from billing.explanation.staircase import staircase
from billing.invoicing.plan_terms import terms_of
from billing.money import ZERO, exact, format_amount, round_amount
from billing.rating.rate import QuantityOutOfRange, rate
from catalog.admin.plans import SETUP_PERMISSIONS
from catalog.models import IntervalUnit, Plan
from catalog.setting_up import PlanDesign, SoldFeature, price_of, set_up_plan
from config.numbers import number
from config.office.charts import Chart
from config.office.dialogs import open_page, refusal_text, staff
from config.office.links import page_of
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused


@dataclass(frozen=True, slots=True)
class TriedUsage:
    """A usage of a feature in the calculator: of `quantity` units, `free` are free, the others cost `amount`."""

    name: str
    quantity: str
    free: str
    amount: str
    chart: Chart | None


class PlanSetup(AdminPage):
    """Create a plan with its fee, features and prices in one form, and publish it or keep it as a draft."""

    title = "New plan"
    template_name = "admin/billing/plan_setup/page.html"

    def has_permission(self) -> bool:
        return self.request.user.has_perms(SETUP_PERMISSIONS)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(PlanSetupForm(), SoldFeatureFormSet(prefix="features"))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, rows = PlanSetupForm(request.POST), SoldFeatureFormSet(request.POST, prefix="features")
        if not (form.is_valid() and rows.is_valid()):
            return self.show(form, rows, "Correct the fields that are marked.")
        design, is_published = read_design(form, rows), "draft" not in request.POST
        try:
            version = set_up_plan(design, now=timezone.now(), by=staff(request), is_published=is_published)
        except (Refused, ValidationError) as refusal:
            return self.show(form, rows, refusal_text(refusal))
        if not is_published:
            return open_page(request, page_of(version), f"{version} is a draft. Publish it when it is complete.")
        if not version.is_published:
            message = f"{version} is a draft. Its publication waits for approval."
            return open_page(request, page_of(version), message, level=messages.WARNING)
        return open_page(request, reverse("admin:index"), f"{version} is published. Customers can be subscribed to it.")

    def show(self, form: PlanSetupForm, rows: Any, problem: str = "") -> HttpResponse:
        return self.render(
            form=form, rows=rows, problem=problem, back=reverse("admin:catalog_plan_changelist"), opts=Plan._meta
        )


class PlanCalculation(AdminView):
    """Rate the usage that is entered in the form, as a fragment of the page. Saves nothing."""

    template_name = "admin/billing/plan_setup/calculation.html"
    http_method_names = ("post",)

    def has_permission(self) -> bool:
        return self.request.user.has_perms(SETUP_PERMISSIONS)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, rows = PlanSetupForm(request.POST), SoldFeatureFormSet(request.POST, prefix="features")
        form.is_valid()
        rows.is_valid()
        design = read_design(form, rows)
        try:
            lines, total = calculate(design, [row.cleaned_data.get("tried") for row in _filled(rows)])
        except QuantityOutOfRange:
            return self.render(problem="The last tier needs a blank “up to”, so that all usage has a price.")
        return self.render(
            interval=IntervalUnit(design.interval).label.lower(),
            fee=format_amount(design.fee, design.currency) if design.fee else "",
            fee_every=IntervalUnit(form.cleaned_data["fee_every"]).label.lower() if design.fee_periods > 1 else "",
            lines=lines,
            total=format_amount(total, design.currency),
        )


def read_design(form: PlanSetupForm, rows: Any) -> PlanDesign:
    """Return the plan that the form describes."""
    return form.design([sold for row in _filled(rows) if (sold := row.sold()) is not None])


def _filled(rows: Any) -> list[SoldFeatureForm]:
    return [row for row in rows if hasattr(row, "cleaned_data") and not row.is_blank]


def calculate(design: PlanDesign, tried: list[Decimal | None]) -> tuple[list[TriedUsage], Decimal]:
    """Rate the tried usage of each feature as an invoice does, and add up the lines and the fee of each period."""
    fee = design.fee if design.fee is not None and design.fee_periods == 1 else ZERO
    lines, total = [], round_amount(fee, design.currency)
    for sold, entered in zip(design.features, tried, strict=True):
        quantity = entered or ZERO
        line, amount = _try(sold, quantity, design)
        lines.append(line)
        total += amount
    return lines, total


def _try(sold: SoldFeature, quantity: Decimal, design: PlanDesign) -> tuple[TriedUsage, Decimal]:
    price, tiers = price_of(sold, design)
    terms = terms_of(price, tiers)
    free = min(quantity, sold.free_units or ZERO)
    with exact():
        rated = rate(quantity - free, terms)
    amount = round_amount(rated.amount, design.currency)
    chart = staircase(terms, design.currency, free_units=sold.free_units, place=quantity) if tiers else None
    texts = number(quantity), number(free), format_amount(amount, design.currency)
    return TriedUsage(sold.feature.name, *texts, chart), amount
