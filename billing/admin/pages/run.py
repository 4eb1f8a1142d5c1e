"""Views of one billing run: its progress, its findings as a file, and retrying what couldn't be billed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from billing.admin.findings import COLUMNS, describe_retry
from billing.admin.pages.change_charts import change_charts
from billing.admin.shared import format_run_totals
from billing.lifecycle.review import CustomerChange
from billing.models import BillingRun, RunKind, RunState
from billing.runs import report
from billing.runs.billing_run import CHUNK_SIZE, bill_subscriptions
from billing.tasks import retry_subscriptions
from config.office.dialogs import open_page
from config.office.files import export, file_name
from config.office.pages import AdminView
from config.office.wording import plural

PROBLEMS_SHOWN = 25
MOST_AT_ONCE = 50  # subscriptions billed while the user waits for the page


class RunView(AdminView):
    """A view of one run."""

    def load_run(self) -> BillingRun:
        return get_object_or_404(BillingRun.objects.select_related("started_by"), pk=self.kwargs["run_id"])


class ProgressPanel(RunView):
    """Show the progress of a run. The page loads it every two seconds while the run continues."""

    template_name = "admin/billing/billingrun/progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.render(**panel_context(request, self.load_run()))


class FindingsFile(RunView):
    """Download all findings of a run as CSV, with a row per invoice or problem."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = self.load_run()
        findings = run.findings.select_related("subscription__customer").order_by("pk")
        return export(
            findings, COLUMNS, name=file_name(f"billing run {run.pk} findings"), file_format="csv", at_most=None
        )


class RetryFailed(RunView):
    """Bill the run's parked subscriptions again: the one in the form, or all of them. Workers bill large numbers."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm("billing.change_billingstate"):
            raise PermissionDenied
        run = self.load_run()
        subscription_id = request.POST.get("subscription", "")
        parked = [pk for pk in report.still_parked(run) if subscription_id in ("", str(pk))]
        url = run.get_absolute_url()
        if not parked:
            return open_page(request, url, "All subscriptions have been billed since.", level=messages.INFO)
        if len(parked) > MOST_AT_ONCE:
            for first in range(0, len(parked), CHUNK_SIZE):
                retry_subscriptions.delay(parked[first : first + CHUNK_SIZE])
            message = f"Billing {plural(len(parked), 'subscription')} again. Reload the page to see the results."
            return open_page(request, url, message)
        message, level = describe_retry(bill_subscriptions(parked, as_of=timezone.now(), retrying=True))
        return open_page(request, url, message, level=level)


def panel_context(request: HttpRequest, run: BillingRun) -> dict[str, Any]:
    """Collect the context of a run's panel. Slow figures are left out while the run continues."""
    is_running, is_dry = run.state == RunState.RUNNING, run.kind == RunKind.DRY
    chunks = list(run.chunks.values_list("finished_at", flat=True))
    return {
        "run": run,
        "is_running": is_running,
        "is_dry": is_dry,
        "pace": report.pace(run, now=timezone.now()),
        "money": format_run_totals(run),
        "chunks": len(chunks),
        "chunks_done": sum(finished_at is not None for finished_at in chunks),
        "problems": report.problems(run).order_by("pk")[:PROBLEMS_SHOWN],
        "more_problems": max(run.failed - PROBLEMS_SHOWN, 0),
        "can_retry": not is_dry and request.user.has_perm("billing.change_billingstate"),
        "waiting": 0 if is_dry else len(report.still_parked(run)),
        "changes": report.biggest_changes(run) if is_dry and not is_running else [],
        "charts": change_charts(report.customers_by_change(run), _customer_url) if is_dry and not is_running else [],
    }


def _customer_url(change: CustomerChange) -> str:
    return reverse("admin:customers_customer_change", args=[change.customer_id])
