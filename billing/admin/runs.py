"""Billing runs in the admin: their progress as it happens, and a run by hand."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.admin.pages import run as run_pages
from billing.admin.shared import run_money, sums
from billing.models import BillingRun, RunKind, RunState
from billing.runs import report
from billing.runs.billing_run import start_run
from billing.runs.dry_run import FARTHEST, start_dry_run
from billing.tasks import enqueue_chunks
from config.office.dialogs import open_page
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import NeverChanged


class StartForm(BaseDialogForm):
    """Show what a run would do before it is started."""

    form_before_template = "admin/billing/billingrun/start.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        found = report.outlook(now=timezone.now())
        return {"outlook": found, "money": sums(found.tally.amounts.items()) if found.tally else ""}


class DryRunForm(BaseDialogForm):
    """Ask for the moment that a dry run looks at."""

    as_of = forms.DateTimeField(
        label="As of (UTC)",
        initial=lambda: f"{timezone.now():%Y-%m-%dT%H:%M}",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="Everything that is due by then. It may lie up to a year ahead: usage to come isn't guessed.",
    )

    def clean_as_of(self) -> datetime:
        as_of: datetime = self.cleaned_data["as_of"]
        if as_of > timezone.now() + FARTHEST:
            raise forms.ValidationError("Choose a moment at most a year ahead.")
        return as_of


@admin.register(BillingRun)
class BillingRunAdmin(NeverChanged, ModelAdmin):
    """What the billing runs did. Written by the system; staff can start one beside the hourly ones."""

    change_form_template = "admin/billing/billingrun/change_form.html"
    change_list_template = "admin/billing/billingrun/change_list.html"
    list_display = ("started", "kind", "state_badge", "as_of", "progress", "invoices", "problems", "money")
    list_select_related = ("started_by",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("started_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    view_on_site = False
    list_per_page = 50
    search_fields = ("public_id",)
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
    actions_list = ("start_dry", "start")

    def has_start_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Tell whether the user may start a run: who may add one."""
        return request.user.has_perm("billing.add_billingrun")

    @display(description="Started", ordering="started_at")
    def started(self, run: BillingRun) -> str:
        return f"{run.started_at:%Y-%m-%d %H:%M} UTC"

    @display(description="State", ordering="state", label={RunState.RUNNING: "info", RunState.FINISHED: "success"})
    def state_badge(self, run: BillingRun) -> tuple[str, str]:
        return run.state, run.get_state_display()

    @display(description="Progress")
    def progress(self, run: BillingRun) -> SafeString:
        return format_html("{} of {}", f"{run.done:,}", f"{run.subscriptions:,}")

    @display(description="Invoices", ordering="invoices_made")
    def invoices(self, run: BillingRun) -> SafeString | str:
        if run.kind == RunKind.DRY:
            return _linked(run.invoices_made, "runfinding", f"run__id__exact={run.pk}&outcome=invoice")
        return _linked(run.invoices_made, "invoice", f"run__id__exact={run.pk}")

    @display(description="Not billed", ordering="failed")
    def problems(self, run: BillingRun) -> SafeString | str:
        return _linked(run.failed, "runfinding", f"run__id__exact={run.pk}&outcome=problem")

    @display(description="Invoiced")
    def money(self, run: BillingRun) -> SafeString:
        said = run_money(run) or "—"
        return format_html('<span class="ch-money">{}{}</span>', "would be " if run.kind == RunKind.DRY else "", said)

    def get_urls(self) -> list[URLPattern]:
        return [*run_pages.urls(self), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a run: its progress, its money, what it had to put aside; of a dry run what it found."""
        run = BillingRun.objects.select_related("started_by").filter(pk=object_id).first()
        shown = {**run_pages.panel(request, run), "title": str(run), "show_history": False} if run else {}
        answered: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        return answered

    @action(
        description="Run billing now",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["start"],
        dialog={
            "title": "Run billing now",
            "description": "Drafts an invoice for every period that has ended and isn't invoiced yet. "
            "The hourly run does the same; running twice makes nothing twice.",
            "form_class": StartForm,
            "form_submit_text": "Run billing",
        },
    )
    def start(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        now = timezone.now()
        run = start_run(as_of=now, now=now, kind=RunKind.MANUAL, by=request.user)  # type: ignore[arg-type]  # staff
        if run is None:
            here = reverse("admin:billing_billingrun_changelist")
            return open_page(request, here, "Nothing is due: every ended period is invoiced.", level=messages.INFO)
        enqueue_chunks(run)
        return open_page(request, run.get_absolute_url(), "The run has begun.")

    @action(
        description="Dry run",
        icon="visibility",
        permissions=["start"],
        dialog={
            "title": "Dry run",
            "description": "Works out what billing would do by a moment: invoices, money, what couldn't be billed, the "
            "biggest changes. It writes nothing else.",
            "form_class": DryRunForm,
            "form_submit_text": "Start the dry run",
        },
    )
    def start_dry(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        by: Any = request.user
        run = start_dry_run(as_of=form.cleaned_data["as_of"], now=timezone.now(), by=by)
        enqueue_chunks(run)
        return open_page(request, run.get_absolute_url(), "The dry run has begun.")


def _linked(number: int, model: str, query: str) -> SafeString | str:
    """Write a number that leads to what it counts."""
    if not number:
        return "0"
    url = reverse(f"admin:billing_{model}_changelist")
    return format_html('<a class="ch-link" href="{}?{}">{}</a>', url, query, f"{number:,}")
