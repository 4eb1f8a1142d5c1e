"""The Proofs pages: the nights with their results, one run with its differences, and the buttons that start a run."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from billing.kinds import ProofSubject
from billing.models import Invoice, InvoiceLine, ProofDifference, ProofResult, ProofRun, WalletEntry
from billing.month_end.months import Month
from billing.proofs.runs import start_proofs
from billing.proofs.signing import public_key, signed_result
from billing.proofs.summary import last_night, list_nights
from billing.tasks import enqueue_proofs
from config.jobs import percent_done
from config.office.charts import Chart, ChartColor, Series
from config.office.dialogs import open_page, staff
from config.office.files import file_name
from config.office.links import admin_url
from config.office.pages import AdminPage, AdminView
from customers.models import Customer

VIEW, START = "billing.view_proofrun", "billing.start_proofrun"
NIGHTS_SHOWN = 30
RUNS_SHOWN = 25
DIFFERENCES_SHOWN = 200
PAGES = {
    ProofSubject.INVOICE: "billing_invoice_change",
    ProofSubject.WALLET: "billing_wallet_change",
    ProofSubject.SERIES: "billing_numberseries_change",
    ProofSubject.CREDIT_NOTE: "billing_creditnote_change",
    ProofSubject.CUSTOMER: "customers_customer_change",
    ProofSubject.USAGE: "customers_customer_change",
    ProofSubject.CHANGE: "auditlog_logentry_change",
    ProofSubject.BACKUP: "config_backup_change",
    ProofSubject.SEALED_PART: "events_sealedpart_change",
}


class ProofsPage(AdminPage):
    """Show the latest night, a chart of the nights before, and the latest runs."""

    title = "Proofs"
    template_name = "admin/billing/proofs/list.html"
    permission = VIEW

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        badge = last_night()
        runs = ProofRun.objects.select_related("started_by", "invoice", "customer").prefetch_related("results")
        return self.render(
            badge=badge,
            results=list(badge.run.results.all()) if badge else [],
            charts=night_charts(),
            runs=[run_row(run) for run in runs.order_by("-started_at", "-pk")[:RUNS_SHOWN]],
            may_start=request.user.has_perm(START),
            month=Month.before(timezone.now()),
        )


class ProofPage(AdminPage):
    """Show a run's results and differences, and its progress while it runs."""

    template_name = "admin/billing/proofs/run.html"
    permission = VIEW

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        run = load_run(kwargs["public_id"])
        return self.render(title=f"Proofs: {run.scope_name}", public_key=public_key(), **run_context(run))


class ProofProgress(AdminView):
    """Show a run's results so far. The page loads it every two seconds while the run continues."""

    template_name = "admin/billing/proofs/results.html"
    permission = VIEW

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.render(**run_context(load_run(kwargs["public_id"])))


class SignedProof(AdminView):
    """Download a finished run's result as a signed file."""

    permission = VIEW

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        run = load_run(kwargs["public_id"])
        if run.finished_at is None:
            raise Http404
        return signed_file(run)


class StartProofs(AdminView):
    """Start the proofs of the invoice, customer or month in the form, or those of a night."""

    permission = START
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            scope = read_scope(request)
        except ValueError:
            return open_page(
                request, reverse("admin:billing_proofs"), "Enter the month as 2026-09.", level=messages.ERROR
            )
        run = start_proofs(now=timezone.now(), by=staff(request), **scope)
        enqueue_proofs()
        return open_page(request, run.get_absolute_url(), f"Proving {run.scope_name}.")


def read_scope(request: HttpRequest) -> dict[str, Any]:
    """Read what to prove from a form. Raises `ValueError` for a wrong month, `PermissionDenied` for a hidden object."""
    may_view = request.user.has_perm
    if number := request.POST.get("invoice"):
        if not may_view("billing.view_invoice"):
            raise PermissionDenied
        return {"invoice": get_object_or_404(Invoice, pk=int(number))}
    if number := request.POST.get("customer"):
        if not may_view("customers.view_customer"):
            raise PermissionDenied
        return {"customer": get_object_or_404(Customer, pk=int(number))}
    name = request.POST.get("month")
    return {"month": Month.named(name).first} if name else {}


def load_run(public_id: str) -> ProofRun:
    return get_object_or_404(ProofRun.objects.select_related("started_by", "invoice", "customer"), public_id=public_id)


def signed_file(run: ProofRun) -> HttpResponse:
    name = f"{file_name(f'proofs {run.started_at:%Y-%m-%d}')}.json"
    response = HttpResponse(signed_result(run), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def run_context(run: ProofRun) -> dict[str, Any]:
    """Describe a run: its results, its first differences with links, and how far it is."""
    results = list(run.results.order_by("pk"))
    parts = {result.pk: _progress(result) for result in results}
    differences = ProofDifference.objects.filter(result__run=run).select_related("result").order_by("pk")
    shown = list(differences[: DIFFERENCES_SHOWN + 1])
    return {
        "run": run,
        "is_running": run.finished_at is None,
        "percent": percent_done(sum(done for done, _ in parts.values()), sum(total for _, total in parts.values())),
        "results": results,
        "differences": [(difference, object_url(difference)) for difference in shown[:DIFFERENCES_SHOWN]],
        "has_more": len(shown) > DIFFERENCES_SHOWN,
        "checked": sum(result.checked for result in results),
        "differing": sum(result.differing for result in results),
    }


def _progress(result: ProofResult) -> tuple[int, int]:
    """Return how many parts of a result are done, of how many."""
    if result.finished_at is not None:
        return 1, 1
    parts = result.parts.all()
    return sum(part.finished_at is not None for part in parts), len(parts)


def run_row(run: ProofRun) -> dict[str, Any]:
    results = run.results.all()
    return {
        "run": run,
        "checked": sum(result.checked for result in results),
        "waiting": sum(result.waiting for result in results),
        "differing": sum(result.differing for result in results),
    }


def object_url(difference: ProofDifference) -> str:
    """Return the address of the object that differs, or an empty text without one."""
    subject, pk = ProofSubject(difference.subject), difference.subject_id
    if subject == ProofSubject.LINE:
        invoice_id = InvoiceLine.objects.filter(pk=pk).values_list("invoice_id", flat=True).first()
        return admin_url("billing_invoice_change", invoice_id) if invoice_id else ""
    if subject in (ProofSubject.ENTRY, ProofSubject.GRANT):
        entry = WalletEntry.objects.filter(**{"grant" if subject == ProofSubject.GRANT else "pk": pk}).first()
        return admin_url("billing_wallet_change", entry.wallet_id) if entry else ""
    if subject == ProofSubject.MONTH and pk:
        return admin_url("billing_reconciliation", month=str(Month(date.fromordinal(pk))))
    return admin_url(PAGES[subject], pk) if subject in PAGES and pk else ""


def night_charts() -> list[Chart]:
    """Return the chart of the last nights: lines proved and waiting, and differences. Each bar leads to its night."""
    nights = list_nights(NIGHTS_SHOWN)
    if len(nights) < 2:
        return []
    links = [night.run.get_absolute_url() for night in nights]
    return [
        Chart(
            title="Invoice lines, and differences of all proofs, by night",
            heading="Night",
            labels=[f"{night.run.started_at:%b %d}" for night in nights],
            series=[
                Series("Proved", [night.proved for night in nights], ChartColor.GOOD, links=links),
                Series("Can't be proved yet", [night.waiting for night in nights], ChartColor.QUIET, links=links),
                Series("Differences", [night.differing for night in nights], ChartColor.BAD, links=links),
            ],
        )
    ]
