"""Billing runs in the admin: their progress, and starting a run or a dry run."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.forms.runs import DryRunForm, StartForm
from billing.admin.pages.run import panel_context
from billing.admin.shared import format_run_totals
from billing.models import BillingRun, RunKind, RunState
from billing.runs.billing_run import start_run
from billing.runs.dry_run import start_dry_run
from billing.tasks import enqueue_chunks
from config.office.base import DeclaredLookups
from config.office.dialogs import action, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import NeverChanged


@admin.register(BillingRun)
class BillingRunAdmin(DeclaredLookups, NeverChanged, ModelAdmin):
    """Billing runs. The system starts one every hour; staff can start others."""

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
        """Users who can add a run can start one."""
        return request.user.has_perm("billing.add_billingrun")

    @display(description="Started", ordering="started_at")
    def started(self, run: BillingRun) -> str:
        return f"{run.started_at:%Y-%m-%d %H:%M} UTC"

    @display(description="Status", ordering="state", label={RunState.RUNNING: "info", RunState.FINISHED: "success"})
    def state_badge(self, run: BillingRun) -> tuple[str, str]:
        return run.state, run.get_state_display()

    @display(description="Progress")
    def progress(self, run: BillingRun) -> SafeString:
        return format_html("{} of {}", f"{run.done:,}", f"{run.subscriptions:,}")

    @display(description="Invoices", ordering="invoices_made")
    def invoices(self, run: BillingRun) -> SafeString | str:
        if run.kind == RunKind.DRY:
            return _list_link(run.invoices_made, "runfinding", f"run__id__exact={run.pk}&outcome=invoice")
        return _list_link(run.invoices_made, "invoice", f"run__id__exact={run.pk}")

    @display(description="Failed", ordering="failed")
    def problems(self, run: BillingRun) -> SafeString | str:
        return _list_link(run.failed, "runfinding", f"run__id__exact={run.pk}&outcome=problem")

    @display(description="Invoiced")
    def money(self, run: BillingRun) -> SafeString:
        prefix = "would be " if run.kind == RunKind.DRY else ""
        return format_html('<span class="ch-money">{}{}</span>', prefix, format_run_totals(run) or "–")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a run's progress, amounts and problems, and the findings of a dry run."""
        run = BillingRun.objects.select_related("started_by").filter(pk=object_id).first()
        context = extra_context or {}
        if run is not None:
            context = {**context, **panel_context(request, run), "title": str(run), "show_history": False}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @action(
        description="Run billing now",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["start"],
        dialog={
            "title": "Run billing now?",
            "description": "Drafts an invoice for every period that has ended and isn't invoiced yet, as the hourly "
            "run does. No period is invoiced twice.",
            "form_class": StartForm,
            "form_submit_text": "Run billing",
        },
    )
    def start(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        now = timezone.now()
        run = start_run(as_of=now, now=now, kind=RunKind.MANUAL, by=staff(request))
        if run is None:
            list_url = reverse("admin:billing_billingrun_changelist")
            return open_page(request, list_url, "Nothing is due: all ended periods are invoiced.", level=messages.INFO)
        enqueue_chunks(run)
        return open_page(request, run.get_absolute_url(), "The run has started.")

    @action(
        description="Dry run",
        icon="visibility",
        permissions=["start"],
        dialog={
            "title": "Start a dry run",
            "description": "Previews what a billing run would do: the invoices and amounts, subscriptions that can't "
            "be billed, and the biggest changes. Nothing is invoiced.",
            "form_class": DryRunForm,
            "form_submit_text": "Start dry run",
        },
    )
    def start_dry(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        run = start_dry_run(as_of=form.cleaned_data["as_of"], now=timezone.now(), by=staff(request))
        enqueue_chunks(run)
        return open_page(request, run.get_absolute_url(), "The dry run has started.")


def _list_link(count: int, model: str, query: str) -> SafeString | str:
    """Link a count to the filtered list of what it counts."""
    if not count:
        return "0"
    url = reverse(f"admin:billing_{model}_changelist")
    return format_html('<a class="ch-link" href="{}?{}">{}</a>', url, query, f"{count:,}")
