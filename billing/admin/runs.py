"""Billing runs in the admin: their progress as it happens, and a run by hand."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing import states
from billing.admin.pages import STYLES, answer, sums
from billing.models import BillingRun, RunKind, RunState
from billing.runs import start_run
from billing.tasks import hand_out


@admin.register(BillingRun)
class BillingRunAdmin(ModelAdmin):
    """What the billing runs did. Written by the system; staff can start one beside the hourly ones."""

    change_form_template = "admin/billing/billingrun/change_form.html"
    change_list_template = "admin/billing/billingrun/change_list.html"
    list_display = ("started", "kind", "state_badge", "as_of", "progress", "invoices_made", "failed", "money")
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
    actions_list = ("start",)

    class Media:
        css = STYLES

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BillingRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BillingRun | None = None) -> bool:
        return False

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

    @display(description="Invoiced")
    def money(self, run: BillingRun) -> SafeString:
        return format_html('<span class="money">{}</span>', run_money(run) or "—")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [path("<int:run_id>/progress/", view(self.progress_view), name="billing_run_progress")]
        return [*own, *super().get_urls()]

    def progress_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Answer with the progress panel alone, which the page asks for again every two seconds while running."""
        run = get_object_or_404(BillingRun, pk=run_id)
        if not self.has_view_permission(request):
            raise PermissionDenied
        return render(request, "admin/billing/billingrun/progress.html", progress_of(run))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a run: its progress, its money, and what it had to put aside."""
        run = BillingRun.objects.select_related("started_by").filter(pk=object_id).first()
        context = {**(extra_context or {}), **(progress_of(run) if run else {}), "title": str(run or "")}
        shown: HttpResponse = super().change_view(request, object_id, form_url, context)
        return shown

    @action(
        description="Run billing now",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["start"],
        dialog={
            "title": "Run billing now",
            "description": "Drafts an invoice for every period that has ended and isn't invoiced yet. "
            "The hourly run does the same; running twice makes nothing twice.",
            "form_submit_text": "Run billing",
        },
    )
    def start(self, request: HttpRequest, form: BaseDialogForm) -> HttpResponse:
        now = timezone.now()
        run = start_run(as_of=now, now=now, kind=RunKind.MANUAL, by=request.user)  # type: ignore[arg-type]  # staff
        if run is None:
            here = reverse("admin:billing_billingrun_changelist")
            return answer(request, here, "Nothing is due: every ended period is invoiced.", level=messages.INFO)
        hand_out(run)
        return answer(request, run.get_absolute_url(), "The run has begun.")


def run_money(run: BillingRun) -> str:
    """Write what a run invoiced, by currency."""
    return sums((currency, Decimal(amount)) for currency, amount in run.amounts.items())


def progress_of(run: BillingRun) -> dict[str, Any]:
    """Collect what the progress panel shows."""
    until = run.finished_at or timezone.now()
    seconds = max((until - run.started_at).total_seconds(), 0.001)
    rate = run.done / seconds
    left = run.subscriptions - run.done
    return {
        "run": run,
        "percent": 100 if not run.subscriptions else min(100, run.done * 100 // run.subscriptions),
        "money": run_money(run),
        "rate": f"{rate:,.1f}",
        "seconds": round(seconds, 1),
        "seconds_left": round(left / rate) if rate and run.state == RunState.RUNNING else None,
        "parked": states.parked().select_related("subscription__customer")[:20],
        "is_running": run.state == RunState.RUNNING,
    }
