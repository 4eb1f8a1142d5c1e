"""Bank pages: entries with suggestions, accepted in bulk; the import of a file; one entry by hand."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from billing.admin.forms.bank import AcceptForm, BankFileForm, DismissForm
from billing.bank.accepting import accept_entry, accept_suggestions, dismiss_entry, reopen_entry, suggest_for
from billing.bank.importing import import_bank_file
from billing.bank.matching import SURE, Suggestion
from billing.models import BankEntry, BankFileFormat, BankImport, Invoice
from billing.money import format_amount
from config.office.dialogs import open_page, staff
from config.office.pages import AdminPage
from config.refusals import Refused
from customers.models import Customer

PER_PAGE = 100
STATUSES = {"open": "Open", "accepted": "Accepted", "dismissed": "Dismissed"}
LATEST = 10


def load_entries() -> Any:
    return BankEntry.objects.select_related("payment__customer", "payment__reversed_by", "bank_import")


class BankPage(AdminPage):
    """List entries by status; open ones with suggestions, of which the selected are accepted."""

    title = "Bank"
    permission = "billing.view_payment"
    template_name = "admin/billing/bank/entries.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        status = request.GET.get("status", "open")
        status = status if status in STATUSES else "open"
        rows = getattr(load_entries(), status)()
        page = Paginator(rows.order_by("-booked_on", "-pk"), PER_PAGE).get_page(request.GET.get("page"))
        entries = list(page)
        return self.render(
            rows=describe_rows(entries),
            page_obj=page,
            status=status,
            statuses=STATUSES,
            sure=SURE,
            may_accept=request.user.has_perm("billing.add_payment"),
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm("billing.add_payment"):
            return HttpResponse(status=403)
        chosen = [key for key in request.POST.getlist("entry") if key.isdecimal() and len(key) < 19][:PER_PAGE]
        entries = list(load_entries().filter(pk__in=chosen).open().order_by("booked_on", "pk"))
        outcomes = accept_suggestions(entries, at_least=1, now=timezone.now(), by=staff(request))
        accepted = sum(outcome.payment is not None for outcome in outcomes)
        skipped = [f"{outcome.entry}: {outcome.skipped}" for outcome in outcomes if outcome.skipped]
        if skipped:
            messages.warning(request, f"Not accepted: {'; '.join(skipped[:5])}.")
        noun = "entry" if accepted == 1 else "entries"
        return open_page(request, reverse("admin:billing_bank"), f"{accepted} {noun} accepted.")


def describe_rows(entries: list[BankEntry]) -> list[dict[str, Any]]:
    """Describe entries and their suggestions for the list. A fixed number of queries."""
    suggestions = suggest_for(entries)
    invoices = Invoice.objects.in_bulk([key for found in suggestions.values() for key, _ in found.parts])
    customers = Customer.objects.in_bulk([found.customer_id for found in suggestions.values()])
    return [
        {
            "entry": entry,
            "amount": format_amount(entry.amount, entry.currency),
            "suggestion": describe(entry, found, invoices, customers) if (found := suggestions.get(entry.pk)) else None,
        }
        for entry in entries
    ]


def describe(entry: BankEntry, found: Suggestion, invoices: Any, customers: Any) -> dict[str, Any]:
    parts = [(invoices[key], format_amount(amount, entry.currency)) for key, amount in found.parts]
    rest = entry.amount - sum(amount for _, amount in found.parts)
    return {
        "customer": customers[found.customer_id],
        "parts": parts,
        "rest": format_amount(rest, entry.currency) if rest else "",
        "score": found.score,
        "is_sure": found.score >= SURE,
        "reasons": ", ".join(found.reasons),
    }


class BankImportPage(AdminPage):
    """Import a bank file, and show the latest imports."""

    title = "Import a bank file"
    permission = "billing.add_payment"
    template_name = "admin/billing/bank/import.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show_form(BankFileForm())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = BankFileForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.show_form(form)
        upload, chosen, now = form.cleaned_data["file"], form.cleaned_data["file_format"], timezone.now()
        try:
            imported = import_bank_file(
                upload.read(),
                upload.name,
                file_format=BankFileFormat(chosen) if chosen else None,
                columns=form.columns(),
                now=now,
                by=staff(request),
            )
        except Refused as refusal:
            return self.show_form(form, str(refusal))
        done = f"{imported.entries_added} new entries of {imported}, {imported.entries_known} known already."
        if imported.imported_at != now:
            done = f"{imported} was imported before. Nothing changed."
        return open_page(request, reverse("admin:billing_bank"), done)

    def show_form(self, form: BankFileForm, problem: str = "") -> HttpResponse:
        fields = list(form)
        return self.render(
            form=form,
            file_fields=fields[:2],
            column_fields=fields[2:],
            problem=problem,
            imports=BankImport.objects.select_related("imported_by")[:LATEST],
        )


class BankEntryPage(AdminPage):
    """Accept an entry by hand, dismiss or reopen it."""

    permission = "billing.add_payment"
    template_name = "admin/billing/bank/entry.html"
    entry: BankEntry

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.entry = get_object_or_404(load_entries(), pk=kwargs["bank_entry_id"])

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        accept, dismiss = AcceptForm(request.POST), DismissForm(request.POST)
        try:
            if "reopen" in request.POST:
                reopen_entry(self.entry, by=staff(request))
                return HttpResponseRedirect(request.path)
            if "dismiss" in request.POST and dismiss.is_valid():
                reason = dismiss.cleaned_data["reason"]
                dismiss_entry(self.entry, reason=reason, now=timezone.now(), by=staff(request))
                return open_page(request, reverse("admin:billing_bank"), f"{self.entry} is dismissed.")
            if "accept" in request.POST and accept.is_valid():
                return self.accept(accept)
        except Refused as refusal:
            return self.show(accept, dismiss, str(refusal))
        is_dismissal = "dismiss" in request.POST
        return self.show(None if is_dismissal else accept, dismiss if is_dismissal else None)

    def accept(self, form: AcceptForm) -> HttpResponse:
        payment = accept_entry(
            self.entry,
            form.cleaned_data["customer"],
            oldest_first=form.cleaned_data["use"] == "oldest",
            surplus_to=form.cleaned_data["surplus_to"],
            now=timezone.now(),
            by=staff(self.request),
        )
        return open_page(self.request, payment.get_absolute_url(), f"{self.entry} is accepted.")

    def show(
        self, accept: AcceptForm | None = None, dismiss: DismissForm | None = None, problem: str = ""
    ) -> HttpResponse:
        [row] = describe_rows([self.entry])
        initial = {"customer": row["suggestion"]["customer"].pk} if row["suggestion"] else {}
        return self.render(
            row=row,
            entry=self.entry,
            accept=accept or AcceptForm(initial=initial),
            dismiss=dismiss or DismissForm(),
            problem=problem,
        )

    def get_title(self) -> str:
        return str(self.entry)
