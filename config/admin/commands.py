"""What the search (Ctrl+K) offers besides rows: the sidebar's pages, and actions by the words staff use for them."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from unfold.dataclasses import SearchResult

from config.admin.sidebar import SECTIONS, permitted_pages
from config.office.links import admin_url

SMALL_WORDS = {"a", "an", "the", "of", "for", "to", "is", "why"}  # "void an invoice", "why is usage missing"


@dataclass(frozen=True)
class Command:
    """Something staff do, where it starts, and the permission for it. `words` are other names for it."""

    title: str
    icon: str
    url_name: str
    permission: str
    words: str = ""
    query: tuple[tuple[str, str], ...] = ()
    hint: str = ""

    def matches(self, term: str) -> bool:
        words = [word for word in term.casefold().split() if word not in SMALL_WORDS]
        return bool(words) and all(word in f"{self.title} {self.words}".casefold() for word in words)


COMMANDS = (
    Command(
        *("Record payment", "payments", "billing_invoice_changelist", "billing.add_payment", "receive money paid"),
        query=(("payment", "open"),),
        hint="choose an open invoice",
    ),
    Command(
        *("Run billing", "play_circle", "billing_billingrun_changelist", "billing.add_billingrun", "start dry run"),
        hint="“Run billing now” or “Dry run”",
    ),
    Command(
        *(
            "Simulate prices",
            "science",
            "billing_simulation_changelist",
            "billing.add_simulation",
            "price change what if",
        ),
        hint="“New simulation”",
    ),
    Command("Review drafts", "rule", "billing_review", "billing.change_invoice", "finalize approve"),
    Command("Create one-off invoice", "receipt_long", "billing_new_one_off", "billing.add_invoice", "new bill"),
    Command(
        *("Issue credit note", "undo", "billing_invoice_changelist", "billing.add_creditnote", "refund new"),
        hint="choose an invoice",
    ),
    Command(
        *("Void or reissue invoice", "block", "billing_invoice_changelist", "billing.change_invoice"),
        "cancel correct replace wrong",
        hint="choose an invoice",
    ),
    Command(
        *("Edit draft", "edit_note", "billing_review", "billing.change_invoice"),
        "invoice memo po purchase order extra line item",
        hint="choose a draft",
    ),
    Command(
        *("Decide on late usage", "history_toggle_off", "billing_lateadjustment_changelist"),
        *("billing.change_lateadjustment", "approve waive adjustment"),
        hint="approve or waive",
    ),
    Command(
        *("Export invoices", "download", "billing_invoice_changelist", "billing.view_invoice", "list csv excel"),
        hint="“CSV” and “Excel” above the list",
    ),
    Command("Add customer", "person_add", "customers_customer_add", "customers.add_customer", "create new"),
    Command("Import customers", "upload", "customers_customer_import", "customers.add_customer", "csv excel"),
    Command(
        *("Add subscription", "autorenew", "customers_subscription_add", "customers.add_subscription"),
        "create new subscribe",
    ),
    Command(
        *("Change subscription", "swap_horiz", "customers_subscription_changelist", "customers.change_subscription"),
        "customer plan upgrade downgrade switch cancel pause quantity",
        hint="choose a subscription",
    ),
    Command("Add feature", "category", "catalog_feature_add", "catalog.add_feature", "create new meter"),
    Command("Add plan", "sell", "catalog_plan_add", "catalog.add_plan", "create new set up"),
    Command(
        *("Change prices", "price_change", "catalog_plan_changelist", "catalog.change_plan"),
        "price plan increase new version publish",
        hint="choose a plan, then “New version”",
    ),
    Command(
        "Fix problems",
        "build",
        "events_problem_causes",
        "events.view_problem",
        "replay uncounted events missing usage lost not counted",
    ),
    Command("Test an event", "bug_report", "events_debugger", "events.view_event", "send dry run debug"),
    Command("Query usage", "query_stats", "events_query", "events.view_event", "count recount"),
    Command("Create API key", "key", "events_apikey_add", "events.add_apikey", "new add"),
    Command(
        *("Rotate API key", "sync_lock", "events_apikey_changelist", "events.change_apikey"),
        "replace revoke secret leaked",
        hint="choose a key",
    ),
    Command(
        "Add webhook", "webhook", "config_webhookendpoint_add", "config.add_webhookendpoint", "create new endpoint"
    ),
    Command("Add colleague", "person_add", "auth_user_add", "auth.add_user", "create new staff user invite login"),
    Command("Close the month", "event_available", "billing_month_end", "billing.view_invoice", "month end report"),
)


def find_pages(term: str, request: HttpRequest) -> Iterator[SearchResult]:
    """Yield the pages of the sidebar that the user can view, by name."""
    sections = {item: section.title for section in SECTIONS for item in section.items}
    for item, link in permitted_pages(request).items():
        if term.casefold() in item.title.casefold():
            where = f"Page · {sections[item]}" if sections[item] else "Page"
            yield SearchResult(title=item.title, description=where, link=link, icon=item.icon)


def find_commands(term: str, request: HttpRequest) -> Iterator[SearchResult]:
    """Yield the actions that the user may carry out, by their name or other words for them."""
    for command in COMMANDS:
        link = admin_url(command.url_name, **dict(command.query))
        if link and command.matches(term) and request.user.has_perm(command.permission):
            hint = f"Action · {command.hint}" if command.hint else "Action"
            yield SearchResult(title=command.title, description=hint, link=link, icon=command.icon)
