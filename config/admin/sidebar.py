"""The sidebar, with badges for what needs attention."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db.models import QuerySet, Value
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

BADGE_LIMIT = 100


@dataclass(frozen=True)
class Item:
    """A page in the sidebar, shown to staff with the permission.

    `url_name` names a page of the admin, or is a path outside of it. `badge` names one of the counts. `covers` names
    other pages for which this item is highlighted.
    """

    title: str
    icon: str
    url_name: str
    permission: str = ""
    badge: str = ""
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading in the sidebar and its pages. It is open at first for staff who work there: who have the permission."""

    title: str
    items: tuple[Item, ...] = field(default_factory=tuple)
    worked_on_with: str = ""

    @property
    def key(self) -> str:
        return self.title.lower().replace(" ", "-")

    def is_worked_on_by(self, request: HttpRequest) -> bool:
        return bool(self.worked_on_with) and request.user.has_perm(self.worked_on_with)


SECTIONS = (
    Section(
        "",
        (
            Item("Home", "home", "index"),
            Item("Approvals", "approval", "config_approval_changelist", "config.view_approval", badge="approvals"),
            Item("Alarms", "notifications_active", "config_alarm_changelist", "config.view_alarm", badge="alarms"),
        ),
    ),
    Section(
        "Customers",
        (
            Item(
                *("Customers", "groups", "customers_customer_changelist", "customers.view_customer"),
                covers=("customers_customeralias_changelist",),
            ),
            Item("Subscriptions", "autorenew", "customers_subscription_changelist", "customers.view_subscription"),
        ),
        "customers.change_customer",
    ),
    Section(
        "Product Catalog",
        (
            Item(
                *("Features", "category", "catalog_feature_changelist", "catalog.view_feature"),
                covers=("catalog_eventnamealias_changelist",),
            ),
            Item(
                *("Plans", "sell", "catalog_plan_changelist", "catalog.view_plan"),
                covers=("catalog_planversion_changelist", "catalog_price_changelist"),
            ),
            Item("Add-ons", "extension", "catalog_addon_changelist", "catalog.view_plan"),
        ),
        "catalog.change_plan",
    ),
    Section(
        "Usage Tracking",
        (
            Item(
                *("Events dashboard", "stacked_bar_chart", "events_event_changelist", "events.view_event"),
                covers=("events_inboxevent_changelist",),
            ),
            Item("Event Debugger", "bug_report", "events_debugger", "events.view_event"),
            Item("Query tool", "query_stats", "events_query", "events.view_event"),
            Item(
                *("Problems", "report", "events_problem_causes", "events.view_problem", "problems"),
                covers=("events_problem_changelist", "events_mendingrun_changelist"),
            ),
            Item("Usage alerts", "notifications", "events_usagealert_changelist", "events.view_usagealert"),
            Item("Duplicates", "content_copy", "events_duplicateevent_changelist", "events.view_duplicateevent"),
            Item("Refused requests", "block", "events_refusedrequest_changelist", "events.view_refusedrequest"),
        ),
        "events.change_event",
    ),
    Section(
        "Billing",
        (
            Item(
                *("Upcoming", "event_upcoming", "billing_upcoming", "billing.view_invoice", "parked"),
                covers=("billing_billingstate_changelist",),
            ),
            Item("Review", "rule", "billing_review", "billing.view_invoice", badge="drafts"),
            Item("Invoices", "receipt_long", "billing_invoice_changelist", "billing.view_invoice"),
            Item("Payments", "payments", "billing_payment_changelist", "billing.view_payment"),
            Item("Bank", "account_balance", "billing_bank", "billing.view_payment"),
            Item("Credit notes", "undo", "billing_creditnote_changelist", "billing.view_creditnote", badge="refunds"),
            Item("Emails", "mail", "billing_email_changelist", "billing.view_email", badge="emails"),
            Item(
                *("Reminders", "schedule_send", "billing_reminder_changelist", "billing.view_reminder", "reminders"),
                covers=("billing_reminderpause_changelist", "billing_planned_reminders"),
            ),
            Item("Receivables", "hourglass_bottom", "billing_aging", "billing.view_invoice", badge="overdue"),
            Item("Month end", "event_available", "billing_month_end", "billing.view_invoice"),
            Item("Reconciliation", "balance", "billing_reconciliation", "events.view_event"),
            Item("Proofs", "verified", "billing_proofs", "billing.view_proofrun"),
            Item(
                *("Late usage", "history_toggle_off", "billing_lateadjustment_changelist"),
                *("billing.view_lateadjustment", "late"),
            ),
            Item(
                *("Billing runs", "play_circle", "billing_billingrun_changelist", "billing.view_billingrun"),
                covers=("billing_runfinding_changelist",),
            ),
            Item(
                *("Simulations", "science", "billing_simulation_changelist", "billing.view_simulation"),
                covers=("billing_simulationinvoice_changelist",),
            ),
            Item(
                *("Discounts", "percent_discount", "billing_coupon_changelist", "billing.view_coupon"),
                covers=("billing_couponapplication_changelist",),
            ),
            Item(
                *("Prepaid credit", "account_balance_wallet", "billing_wallet_changelist", "billing.view_wallet"),
                covers=("billing_walletentry_changelist",),
            ),
        ),
        "billing.change_invoice",
    ),
    Section(
        "Settings",
        (
            Item("Number series", "tag", "billing_numberseries_changelist", "billing.view_numberseries"),
            Item("Company", "storefront", "billing_companyprofile_changelist", "billing.view_companyprofile"),
            Item("Email templates", "drafts", "billing_emailtemplate_changelist", "billing.view_emailtemplate"),
            Item(
                *("Reminder schedules", "edit_notifications", "billing_reminderschedule_changelist"),
                "billing.view_reminderschedule",
            ),
            Item("Taxes", "assured_workload", "billing_taxrate_changelist", "billing.view_taxrate"),
            Item("Late usage policy", "tune", "billing_latepolicy_changelist", "billing.view_latepolicy"),
            Item("API keys", "key", "events_apikey_changelist", "events.view_apikey"),
            Item("API reference", "api", "/v1/docs", "events.view_apikey"),
            Item(
                *("Webhooks", "webhook", "config_webhookendpoint_changelist", "config.view_webhookendpoint"),
                covers=("config_webhookdelivery_changelist",),
            ),
            Item("Approval rules", "rule_settings", "config_approvalrule_changelist", "config.view_approvalrule"),
            Item("Staff", "badge", "auth_user_changelist", "auth.view_user"),
            Item("Roles", "admin_panel_settings", "auth_group_changelist", "auth.view_group"),
            Item("Sign-in rules", "passkey", "config_signinrules_changelist", "config.view_signinrules"),
            Item("Sign-in log", "login", "config_signinevent_changelist", "config.view_signinevent"),
            Item(
                "Schedules",
                "schedule",
                "django_celery_beat_periodictask_changelist",
                "django_celery_beat.view_periodictask",
            ),
            Item("Self-test", "labs", "billing_selftest_changelist", "billing.view_selftest"),
            Item("Backups", "backup", "config_backup_changelist", "config.view_backup"),
            Item("System", "monitor_heart", "system", "config.view_alarm"),
            Item("Usage checks", "fact_check", "events_usagecheck_changelist", "events.view_usagecheck"),
            Item("Sealed events", "inventory_2", "events_sealedpart_changelist", "events.view_sealedpart"),
            Item("Processed batches", "inventory", "events_processedbatch_changelist", "events.view_processedbatch"),
            Item("Change log", "history", "auditlog_logentry_changelist", "auditlog.view_logentry"),
        ),
    ),
)
BADGE_VARIANTS = {
    "alarms": "danger",
    "problems": "danger",
    "parked": "danger",
    "drafts": "warning",
    "overdue": "danger",
    "refunds": "warning",
    "emails": "danger",
    "reminders": "warning",
    "late": "warning",
    "approvals": "warning",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the pages that the user can view, by section, with the open page marked. Runs one query."""
    badges = _badges(request)
    links = permitted_pages(request)
    active = _active(links, request.path)
    sections = [section for section in SECTIONS if any(item in links for item in section.items)]
    works_here = [section for section in sections if section.is_worked_on_by(request)]
    opened = works_here or [section for section in sections if section.worked_on_with]
    return [
        _group(section, [_entry(item, links[item], badges, item is active) for item in section.items if item in links])
        | {"is_open": section in opened}
        for section in sections
    ]


def permitted_pages(request: HttpRequest) -> dict[Item, str]:
    """Return the addresses of the pages that the user can view, in the order of the sidebar."""
    return {item: link for section in SECTIONS for item in section.items if (link := _link(item, request))}


def page_of(path: str) -> tuple[Section, Item] | None:
    """Return the sidebar's page to which an address belongs, and its section."""
    items = {item: _address(item.url_name) for section in SECTIONS for item in section.items}
    active = _active(items, path)
    return next(((section, item) for section in SECTIONS for item in section.items if item is active), None)


def _group(section: Section, items: list[dict[str, Any]]) -> dict[str, Any]:
    variants = {item["badge_variant"] for item in items if "badge" in item}
    return {
        "title": section.title,
        "key": section.key,
        "items": items,
        "is_active": any(item["active"] for item in items),
        "alert": next((variant for variant in ("danger", "warning") if variant in variants), ""),
    }


def _link(item: Item, request: HttpRequest) -> str:
    if item.permission and not request.user.has_perm(item.permission):
        return ""
    return _address(item.url_name)


def _active(links: dict[Item, str], path: str) -> Item | None:
    """Return the item with the longest address that is a prefix of the open page's address."""
    home = reverse("admin:index")
    matches = [
        (len(address), item)
        for item, link in links.items()
        for address in (link, *map(_address, item.covers))
        if address and path.startswith(address) and (address != home or path == home)
    ]
    return max(matches, key=lambda match: match[0], default=(0, None))[1]


def _address(url_name: str) -> str:
    if url_name.startswith("/"):  # a page outside of the admin
        return url_name
    try:
        return reverse(f"admin:{url_name}") if url_name else ""
    except NoReverseMatch:  # the page's app isn't installed
        return ""


def _entry(item: Item, link: str, badges: dict[str, int], active: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": item.title, "icon": item.icon, "link": link, "active": active}
    if count := badges.get(item.badge, 0):
        entry |= {"badge": capped(count, BADGE_LIMIT), "badge_variant": BADGE_VARIANTS[item.badge]}
    return entry


def capped(count: int, limit: int) -> str:
    """Return a count, or for example "99+" if counting stopped at a limit of 100."""
    return f"{limit - 1:,}+" if count >= limit else f"{count:,}"


def _badges(request: HttpRequest) -> dict[str, int]:
    """Count what needs attention, up to the limit. One query that reads few index entries, however large the tables."""
    queries: list[QuerySet[Any, Any]] = []
    selections: tuple[tuple[str, str, Callable[[Any], QuerySet[Any]]], ...] = (
        ("problems", "events.Problem", lambda problems: problems.filter(state=1)),
        ("parked", "billing.BillingState", lambda states: states.filter(parked_at__isnull=False)),
        ("drafts", "billing.Invoice", lambda invoices: invoices.drafts()),
        ("overdue", "billing.Invoice", lambda invoices: invoices.overdue(Now())),
        ("refunds", "billing.Invoice", lambda invoices: invoices.to_refund()),
        ("approvals", "config.Approval", lambda approvals: approvals.filter(status="requested")),
        ("alarms", "config.Alarm", lambda alarms: alarms.unacknowledged()),
        ("emails", "billing.Email", lambda emails: emails.problems()),
        ("reminders", "billing.Reminder", lambda reminders: reminders.to_do()),
        ("late", "billing.LateAdjustment", lambda adjustments: adjustments.filter(state="held")),
    )
    for name, label, select in selections:
        model = apps.get_model(label)
        if request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            rows = select(model._default_manager.all()).order_by()
            queries.append(rows.values_list(Value(name))[:BADGE_LIMIT])
    if not queries:
        return {}
    first, *others = queries
    names = [name for (name,) in (first.union(*others, all=True) if others else first)]
    return {name: names.count(name) for name in set(names)}
