"""The parts of the OpenAPI schema around its operations: the introduction, servers, tags and webhook receivers."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

# In the order of the reference page.
TAGS = {
    "Events": "Send usage, and look up what was received.",
    "Usage": "Quantities and costs, by event name, feature and customer.",
    "Problems": "Events that don't count, by cause: problems, duplicates and conflicts; replay or dismiss them.",
    "Fixes": "Preview and apply what lets events of a cause count.",
    "Logs": "Refused requests and recounts of usage.",
    "Alerts": "A webhook when a subscription's usage of a feature reaches a quantity.",
    "Customers": "The companies or people that are billed.",
    "Features": "What is metered or included in a plan.",
    "Plans": "What customers subscribe to.",
    "Add-ons": "What a subscription can have in addition to its plan.",
    "Prices": "What a plan or add-on charges: usage and recurring fees.",
    "Entitlements": "What a plan or add-on includes: free units and features.",
    "Subscriptions": "A customer's plan over time: changes, pauses, cancellation.",
    "Invoices": "Drafts, finalized and one-off invoices, and what is upcoming.",
    "Bank files": "Statements of banks: import a file, and accept its entries as payments.",
    "Payments": "Payments and refunds of invoices.",
    "Credit notes": "Corrections of finalized invoices.",
    "Emails": "Documents sent to customers, and what became of the emails.",
    "Reminders": "Reminders of unpaid invoices: schedules with their steps, pauses, tasks and what is planned.",
    "Late usage": "Usage that arrived after its period was invoiced.",
    "Wallets": "Prepaid credit and its movements.",
    "Coupons": "Discounts of customers and subscriptions.",
    "Taxes": "Tax rates, and who pays them.",
    "Billing runs": "Billing everything that is due, or a dry run of it.",
    "Month end": "Checklist, revenue, receivables, usage by billing status and unbilled revenue.",
    "Simulations": "Past invoices calculated again on other prices, beside what was invoiced.",
    "Proofs": "What was calculated again by other means, and what differed.",
    "Company": "The company on documents, and the numbers of documents.",
    "API keys": "Keys of other systems and their scopes.",
    "Sign-ins": "Who signed in, who failed to, and what changed about it.",
    "Approvals": "Actions that wait for a second person, and the rules that say which do.",
    "Alarms": "What operations and finance must look at, and who takes care of it.",
    "System": "Processes, schedules, queues and the database of this installation.",
    "Change log": "Whether the record of all changes is as it was written.",
    "Backups": "Backups that were made on the server, and whether they were proved.",
    "Self-tests": "Whether billing works end to end, stage by stage.",
    "Webhooks": "Endpoints of other systems, and the deliveries to them.",
    "Messages": "What webhooks deliver.",
}
METHODS = {"get", "put", "post", "delete", "patch"}


def introduce(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Add the introduction, and declare the tags in use in the order above."""
    result["info"]["description"] = (settings.BASE_DIR / "docs" / "api.md").read_text()
    used = {tag for operation in operations(result) for tag in operation["tags"]}
    result["tags"] = [{"name": name, "description": TAGS[name]} for name in sorted(used, key=list(TAGS).index)]
    for name, methods in result.get("webhooks", {}).items():
        words = name.replace("_", ".").split(".")
        methods["post"] |= {"operationId": "receive" + "".join(map(str.title, words)), "security": []}
    return result


def tidy(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Remove what says nothing and what linters refuse.

    Bodies of requests and responses are different components, so no property needs `readOnly`; webhooks send
    components of responses. An empty schema in `oneOf` allows anything, `allOf` of one schema is that schema, and a
    default of "" stands for an absent value.
    """
    _tidy(result["paths"])
    _tidy(result["components"]["schemas"])
    return result


def operations(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Iterate over the operations and the webhooks."""
    for methods in [*result["paths"].values(), *result.get("webhooks", {}).values()]:
        yield from (operation for method, operation in methods.items() if method in METHODS)


def _tidy(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    elif isinstance(node, dict):
        if node.get("readOnly") is True:
            del node["readOnly"]
        if {} in (node.get("oneOf") or ()):
            del node["oneOf"]
        if len(node.get("allOf") or ()) == 1:
            node |= node.pop("allOf")[0]
        if node.get("default") == "":
            del node["default"]
        for name, item in node.items():
            if name not in ("example", "examples"):
                _tidy(item)
