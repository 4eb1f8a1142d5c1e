"""Late usage in the admin: what waits for approval, what goes on the next invoice, and the policy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
)
from unfold.decorators import display

from billing.admin.shared import money, sums
from billing.invoicing.late_adjustments import after_of, before_of
from billing.late_usage import decisions
from billing.models import Invoice, LateAdjustment, LateLimit, LatePolicy, LateState
from billing.models.late import OPEN_STATES
from billing.money import format_amount
from billing.wording import dates
from config.numbers import number
from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem
from config.refusals import Refused
from customers.periods import Period

LABELS = {
    LateState.HELD: "warning",
    LateState.WAITING: "info",
    LateState.SMALL: "info",
    LateState.INVOICED: "success",
    LateState.CREDITED: "success",
    LateState.IGNORED: "danger",
    LateState.CANCELLED: "",
}
RELATED = (
    "subscription__customer",
    "feature",
    "price__feature",
    "price__version__plan",
    "invoice",
    "line__invoice",
    "credit_note",
    "decided_by",
)
VERBS = {
    "approve_selected": ("Approve", "approved", "on the next invoice of each subscription"),
    "ignore_selected": ("Ignore", "ignored", "never charged or given back"),
    "take_up_selected": ("Take up again", "taken up again", "worked out anew, for the next invoice"),
}


def where_of(row: LateAdjustment) -> str:
    """Name the invoice or the credit note that an adjustment is on."""
    if row.line is not None:
        return str(row.line.invoice)
    return str(row.credit_note) if row.credit_note is not None else ""


class CreditedFilter(DropdownFilter):
    """Adjustments of charges that credit notes took something off before, and others."""

    title = "Credited by hand"
    parameter_name = "credited"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Credited before"), ("no", "Not credited")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(credited__gt=0) if self.value() == "yes" else queryset.filter(credited=0)


@admin.register(LateAdjustment)
class LateAdjustmentAdmin(WrittenBySystem, OfficeAdmin):
    """What changed about invoiced periods. The system writes it; staff approve, let go, and take up again."""

    list_display = (
        "customer_name",
        "what",
        "period",
        "used",
        "credited_before",
        "money",
        "state_badge",
        "where",
        "since",
    )
    list_select_related = RELATED
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("subscription__customer", AutocompleteSelectFilter),
        ("feature", AutocompleteSelectFilter),
        ("invoice", AutocompleteSelectFilter),
        CreditedFilter,
        ("created_at", RangeDateTimeFilter),
    )
    list_fullwidth = True
    list_before_template = "admin/billing/late/queues.html"
    search_fields = (
        "public_id",
        "subscription__customer__name",
        "subscription__customer__external_id",
        "feature__name",
        "invoice__number",
    )
    search_help_text = "Customer's name or external id, feature, number of the corrected invoice"
    ordering = ("-pk",)
    actions = ("approve_selected", "ignore_selected", "take_up_selected")
    change_form_template = "admin/billing/late/change_form.html"
    empty_title = "No late usage"
    empty_text = (
        "When an event comes, is voided or is replayed after its period was invoiced, the difference is listed here "
        "and goes on the next invoice."
    )
    empty_icon = "history_toggle_off"
    export_columns = (
        ("Id", "public_id"),
        ("Customer", "subscription__customer__external_id"),
        ("Feature", "feature__name"),
        ("Period start", "period_start"),
        ("Period end", "period_end"),
        ("Corrects invoice", lambda row: str(row.invoice) if row.invoice else ""),
        ("Quantity before", "quantity_before"),
        ("Quantity after", "quantity_after"),
        ("Currency", "currency"),
        ("Amount before", "amount_before"),
        ("Amount after", "amount_after"),
        ("Credited by hand", "credited"),
        ("Difference", "amount"),
        ("State", lambda row: row.get_state_display()),
        ("Where", where_of),
        ("Reason", "reason"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: LateAdjustment | None = None) -> list[str]:
        return [field.name for field in LateAdjustment._meta.fields]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show an adjustment as what was charged and what its period comes to now."""
        row = (
            LateAdjustment.objects.select_related(*RELATED).filter(pk=object_id).first()
            if object_id.isdigit()
            else None
        )
        if request.method == "POST" or row is None:
            answered: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
            return answered
        context = {**(extra_context or {}), "title": str(row), **page_context(row)}
        shown: HttpResponse = super().change_view(request, object_id, form_url, context)
        return shown

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"queues": queues(), **(extra_context or {})})

    # --- The list --------------------------------------------------------------------------------------

    @display(description="Customer", ordering="subscription__customer__name", header=True)
    def customer_name(self, row: LateAdjustment) -> list[str]:
        return [row.subscription.customer.name, row.subscription.customer.external_id]

    @display(description="Charge", ordering="feature__name")
    def what(self, row: LateAdjustment) -> str:
        return row.price.label

    @display(description="Period", ordering="period_start")
    def period(self, row: LateAdjustment) -> SafeString:
        return format_html("{}<br>{}", period_text(row), link(row.invoice) if row.invoice else "not invoiced")

    @display(description="Used")
    def used(self, row: LateAdjustment) -> str:
        return f"{number(row.quantity_before)} → {number(row.quantity_after)}"

    @display(description="Credited", ordering="credited")
    def credited_before(self, row: LateAdjustment) -> SafeString | str:
        if not row.credited:
            return "—"
        return format_html('<a class="ch-link" href="{}">{}</a>', notes_url(row), money(row.credited, row.currency))

    @display(description="Difference", ordering="amount")
    def money(self, row: LateAdjustment) -> SafeString:
        return money(row.amount, row.currency)

    @display(description="State", ordering="state", label=LABELS)
    def state_badge(self, row: LateAdjustment) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description="Where, or why")
    def where(self, row: LateAdjustment) -> SafeString | str:
        if row.line is not None:
            return link(row.line.invoice)
        return where_of(row) or row.reason or "—"

    @display(description="Noticed", ordering="created_at")
    def since(self, row: LateAdjustment) -> str:
        return f"{timezone.localtime(row.created_at):%d %b %H:%M %Z}"

    # --- What staff can do -----------------------------------------------------------------------------

    @admin.action(description="Approve: charge on the next invoice", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        """Show what approving does, and do it once confirmed."""
        return self._decide(request, queryset, "approve_selected", (LateState.HELD, LateState.SMALL), decisions.approve)

    @admin.action(description="Ignore: let the difference go", permissions=["change"])
    def ignore_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        """Show what ignoring does, ask why, and do it once confirmed."""
        return self._decide(request, queryset, "ignore_selected", OPEN_STATES, decisions.ignore)

    @admin.action(description="Take ignored ones up again", permissions=["change"])
    def take_up_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        """Show what taking up again does, and do it once confirmed."""
        return self._decide(request, queryset, "take_up_selected", (LateState.IGNORED,), decisions.reopen_ignored)

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[LateAdjustment],
        action: str,
        among: Sequence[str],
        decide: Callable[..., list[LateAdjustment]],
    ) -> HttpResponse | None:
        verb, done, effect = VERBS[action]
        chosen = list(queryset.select_related(*RELATED).order_by("pk"))
        fitting = [row for row in chosen if row.state in among]
        needs_reason, reason = action == "ignore_selected", request.POST.get("reason", "")
        if "confirmed" in request.POST:
            given = {"reason": reason} if needs_reason else {}
            try:
                changed = decide([row.pk for row in fitting], by=staff(request), now=timezone.now(), **given)
            except Refused as refused:
                self.message_user(request, str(refused), messages.ERROR)
            else:
                self.message_user(request, f"{counted(changed)}: {done}.", messages.SUCCESS)
                return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb} late usage",
            "opts": self.opts,
            "chosen": [(row, period_text(row), row.state in among) for row in chosen],
            "fitting": fitting,
            "skipped": len(chosen) - len(fitting),
            "counted": counted(fitting),
            "verb": verb,
            "effect": effect,
            "action": action,
            "needs_reason": needs_reason,
            "reason": reason,
        }
        return TemplateResponse(request, "admin/billing/late/decide.html", context)


class LateLimitInline(TabularInline):
    """Amounts below which differences wait, one a currency."""

    model = LateLimit
    extra = 0
    tab = False
    show_title = False
    verbose_name = "limit"
    verbose_name_plural = "Differences below an amount wait until more comes"


@admin.register(LatePolicy)
class LatePolicyAdmin(OfficeAdmin):
    """What becomes of late usage: one page, no list."""

    fieldsets = (
        (
            None,
            {
                "fields": ("more_due", "less_due"),
                "description": "Applies to differences that are worked out from now on. What waits already stays.",
            },
        ),
    )
    inlines = (LateLimitInline,)
    add_inlines = (LateLimitInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LatePolicy | None = None) -> bool:
        return False

    def parts_of(self, obj: LatePolicy) -> QuerySet[LateLimit]:
        return obj.limits.all()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LatePolicy | None:
        """Return the policy, writing the first one down, so that its limits have something to belong to."""
        return LatePolicy.objects.get_or_create(pk=1)[0] if object_id == "1" else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead on to the one page there is."""
        return HttpResponseRedirect(reverse("admin:billing_latepolicy_change", args=[1]))


def queues() -> list[dict[str, Any]]:
    """Count what is open by state, with the money by currency and where it is listed. One query."""
    rows = LateAdjustment.objects.filter(state__in=OPEN_STATES).order_by("state", "currency")
    found: dict[str, dict[str, Any]] = {}
    for state, currency, count, amount in rows.values_list("state", "currency").annotate(Count("pk"), Sum("amount")):
        queue = found.setdefault(state, {"count": 0, "amounts": []})
        queue["count"] += count
        queue["amounts"].append((currency, amount))
    url = reverse("admin:billing_lateadjustment_changelist")
    return [
        {
            "label": LateState(state).label,
            "count": found.get(state, {}).get("count", 0),
            "money": sums(found.get(state, {}).get("amounts", ())),
            "url": f"{url}?state__exact={state.value}",
        }
        for state in OPEN_STATES
    ]


def notes_url(row: LateAdjustment) -> str:
    """List the credit notes of the invoice that an adjustment corrects."""
    search = urlencode({"q": str(row.invoice or "")})
    return f"{reverse('admin:billing_creditnote_changelist')}?{search}"


def period_text(row: LateAdjustment) -> str:
    return dates(Period(row.period_start, row.period_end), row.subscription.timezone)


def link(obj: Any) -> SafeString:
    return format_html('<a class="ch-link" href="{}">{}</a>', obj.get_absolute_url(), obj)


def counted(rows: Sequence[LateAdjustment]) -> str:
    amount = sums((row.currency, row.amount) for row in rows) or "nothing"
    return f"{len(rows)} adjustment{'' if len(rows) == 1 else 's'}, {amount}"


def page_context(row: LateAdjustment) -> dict[str, Any]:
    """Collect what an adjustment's page shows: both sides of it, and what usage makes of the period now."""
    before, after = before_of(row), after_of(row)
    difference = after.minus(before)
    charged = replace(before, amount=before.amount + row.credited)
    sides = [
        (name, *(write(side) for side in (charged, after, difference)))
        for name, write in (
            ("Used", lambda side: number(side.quantity)),
            ("Of it free", lambda side: number(side.free)),
            ("Events", lambda side: f"{side.events:,}"),
            ("Amount", lambda side: format_amount(side.amount, row.currency)),
        )
    ]
    return {
        "row": row,
        "sides": sides,
        "credited": format_amount(row.credited, row.currency) if row.credited else "",
        "notes_url": notes_url(row),
        "period": period_text(row),
        "state_kind": LABELS[LateState(row.state)],
        "recalculated_lines": [
            (each["description"], format_amount(Decimal(each["amount"]), row.currency)) for each in row.again
        ],
        "list_url": reverse("admin:billing_lateadjustment_changelist"),
    }


def corrections_of(invoice: Invoice) -> list[tuple[str, str, str]]:
    """List what corrects the invoice since: the late usage of its period, its amount, and where it is."""
    rows = LateAdjustment.objects.filter(invoice=invoice).exclude(state=LateState.CANCELLED)
    return [
        (format_amount(row.amount, row.currency), *_where(row))
        for row in rows.select_related("line__invoice", "credit_note").order_by("pk")
    ]


def _where(row: LateAdjustment) -> tuple[str, str]:
    """Say where an adjustment is, and its address."""
    if row.line is not None:
        return f"on {row.line.invoice}", row.line.invoice.get_absolute_url()
    said = f"on credit note {row.credit_note}" if row.credit_note else row.get_state_display().lower()
    return said, row.get_absolute_url()
