"""The pages of one run: its progress as it happens, what it put aside, what a dry run found, and the files of it."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from billing.admin.findings import COLUMNS, outcome
from billing.admin.shared import run_money
from billing.models import BillingRun, RunKind, RunState
from billing.runs import report
from billing.runs.billing_run import CHUNK_SIZE, bill_subscriptions
from billing.tasks import retry_subscriptions
from config.office.dialogs import open_page
from config.office.files import export

if TYPE_CHECKING:
    from billing.admin.runs import BillingRunAdmin

PROBLEMS_SHOWN = 25
MOST_AT_ONCE = 50  # subscriptions billed while somebody waits for the page


def urls(page: "BillingRunAdmin") -> list[URLPattern]:
    """List the addresses below a run's own."""

    def progress_view(request: HttpRequest, run_id: int) -> HttpResponse:
        return progress(page, request, run_id)

    def csv_view(request: HttpRequest, run_id: int) -> HttpResponseBase:
        return download(page, request, run_id)

    @require_POST
    def retry_view(request: HttpRequest, run_id: int) -> HttpResponse:
        return retry(page, request, run_id)

    view = page.admin_site.admin_view
    return [
        path("<int:run_id>/progress/", view(progress_view), name="billing_run_progress"),
        path("<int:run_id>/csv/", view(csv_view), name="billing_run_csv"),
        path("<int:run_id>/retry/", view(retry_view), name="billing_run_retry"),
    ]


def progress(page: "BillingRunAdmin", request: HttpRequest, run_id: int) -> HttpResponse:
    """Answer with the progress panel alone, which the page asks for again every two seconds while running."""
    return render(request, "admin/billing/billingrun/progress.html", panel(request, _run(page, request, run_id)))


def download(page: "BillingRunAdmin", request: HttpRequest, run_id: int) -> HttpResponseBase:
    """Send all that a run found as CSV, a row an invoice or a problem."""
    run = _run(page, request, run_id)
    rows = run.findings.select_related("subscription__customer").order_by("pk")
    return export(rows, COLUMNS, name=f"Run {run.started_at:%Y-%m-%d %H.%M}", file_format="csv", at_most=None)


def retry(page: "BillingRunAdmin", request: HttpRequest, run_id: int) -> HttpResponse:
    """Bill what the run put aside once more: one subscription if the form names it, else all that still wait.

    For staff who may change billing standings. Many are handed to the workers.
    """
    run = _run(page, request, run_id)
    if not request.user.has_perm("billing.change_billingstate"):
        raise PermissionDenied
    waiting = report.still_parked(run)
    one = request.POST.get("subscription", "")
    chosen = [pk for pk in waiting if not one or str(pk) == one]
    here = run.get_absolute_url()
    if len(chosen) > MOST_AT_ONCE:
        for first in range(0, len(chosen), CHUNK_SIZE):
            retry_subscriptions.delay(chosen[first : first + CHUNK_SIZE])
        return open_page(
            request, here, f"{len(chosen):,} subscriptions are being billed again. Reload to see what came."
        )
    if not chosen:
        return open_page(request, here, "Nothing waits any more.", level=messages.INFO)
    said, level = outcome(bill_subscriptions(chosen, as_of=timezone.now(), retrying=True))
    return open_page(request, here, said, level=level)


def panel(request: HttpRequest, run: BillingRun) -> dict[str, Any]:
    """Collect what the progress panel shows. What takes long to find is left out while the run goes on."""
    is_running, is_dry = run.state == RunState.RUNNING, run.kind == RunKind.DRY
    problems = report.problems(run)
    chunks = list(run.chunks.values_list("finished_at", flat=True))
    return {
        "run": run,
        "is_running": is_running,
        "is_dry": is_dry,
        "pace": report.pace(run, now=timezone.now()),
        "money": run_money(run),
        "chunks": len(chunks),
        "chunks_done": sum(finished_at is not None for finished_at in chunks),
        "problems": problems.order_by("pk")[:PROBLEMS_SHOWN],
        "more_problems": max(run.failed - PROBLEMS_SHOWN, 0),
        "can_retry": not is_dry and request.user.has_perm("billing.change_billingstate"),
        "waiting": 0 if is_dry else len(report.still_parked(run)),
        "changes": report.biggest_changes(run) if is_dry and not is_running else [],
    }


def _run(page: "BillingRunAdmin", request: HttpRequest, run_id: int) -> BillingRun:
    run = get_object_or_404(BillingRun.objects.select_related("started_by"), pk=run_id)
    if not page.has_view_permission(request):
        raise PermissionDenied
    return run
