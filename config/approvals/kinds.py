"""The actions that can need approval: the kinds that rules cover, and the operations that are carried out."""

from django.db import models


class ApprovalKind(models.TextChoices):
    """A kind of action. Each has one rule, except changes of the rules themselves."""

    VOID = "void", "Void invoices and credit notes"
    CREDIT_NOTE = "credit_note", "Finalize credit notes"
    REFUND = "refund", "Refund payments"
    CREDIT = "credit", "Grant prepaid credit"
    PRICES = "prices", "Publish prices"
    BULK_FINALIZE = "bulk_finalize", "Finalize many invoices at once"
    API_KEY = "api_key", "Create or rotate API keys that can move money"
    PERSONAL_DATA = "personal_data", "Erase personal data of customers"
    RULES = "rules", "Relax an approval rule"


def list_kinds() -> list[tuple[str, str]]:
    """Return the choices of the columns, to which migrations refer instead of listing them."""
    return ApprovalKind.choices


WITH_AMOUNT = frozenset(
    {
        ApprovalKind.VOID,
        ApprovalKind.CREDIT_NOTE,
        ApprovalKind.REFUND,
        ApprovalKind.CREDIT,
        ApprovalKind.BULK_FINALIZE,
    }
)


class Operation(models.TextChoices):
    """What is carried out once it is approved."""

    VOID_INVOICE = "invoice.void", "Void invoice"
    REISSUE_INVOICE = "invoice.reissue", "Void and reissue invoice"
    FINALIZE_CREDIT = "invoice.finalize", "Finalize negative invoice"
    FINALIZE_MANY = "invoices.finalize", "Finalize invoices"
    VOID_CREDIT_NOTE = "credit_note.void", "Void credit note"
    FINALIZE_CREDIT_NOTE = "credit_note.finalize", "Finalize credit note"
    REFUND = "refund.record", "Record refund"
    REFUND_SURPLUS = "payment.refund_surplus", "Refund surplus"
    GRANT_CREDIT = "wallet.grant", "Grant credit"
    TOP_UP = "wallet.top_up", "Top up wallet"
    PUBLISH = "plan_version.publish", "Publish prices"
    AGREE_TERMS = "subscription.agree_terms", "Agree terms"
    AGREE_PHASES = "subscription.agree_phases", "Agree phases"
    ADD_ADDON = "subscription.add_addon", "Add add-on at agreed prices"
    AGREE_COMMITMENT = "subscription.agree_commitment", "Agree commitment"
    END_COMMITMENT = "subscription.end_commitment", "End commitment"
    ACTIVATE_KEY = "api_key.activate", "Activate API key"
    ERASE_PERSONAL_DATA = "customer.erase", "Erase personal data"
    CHANGE_RULE = "approval_rule.update", "Relax approval rule"


def list_operations() -> list[tuple[str, str]]:
    """Return the choices of the column, to which migrations refer instead of listing them."""
    return Operation.choices


class RuleMode(models.TextChoices):
    """When an action needs approval."""

    OFF = "off", "Never"
    ABOVE = "above", "Above an amount"
    ALWAYS = "always", "Always"


class ApprovalStatus(models.TextChoices):
    """The status of a request. Only requested ones can be decided."""

    REQUESTED = "requested", "Waiting"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    WITHDRAWN = "withdrawn", "Withdrawn"
    EXPIRED = "expired", "Expired"
    FAILED = "failed", "Not carried out"
