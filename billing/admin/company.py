"""The company profile in the admin: one page, without a list."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from billing.models import CompanyProfile
from billing.models.company import ONLY
from config.office.base import OfficeAdmin


def company_name(request: HttpRequest) -> str:
    """Return the name that the sidebar shows: the company of these books."""
    return CompanyProfile.current().name


@admin.register(CompanyProfile)
class CompanyProfileAdmin(OfficeAdmin):
    """The company profile printed on documents. Finalized invoices keep their own copy."""

    fieldsets = (
        (None, {"fields": (("name", "logo_text"), ("tax_id", "registration"))}),
        (
            "Address",
            {
                "fields": (
                    ("address_line1", "address_line2"),
                    ("address_postal_code", "address_city"),
                    ("address_state", "address_country"),
                )
            },
        ),
        ("Contact", {"fields": (("contact", "phone"), ("email", "website"), "site_url")}),
        ("Months", {"fields": ("timezone",)}),
        ("Retention", {"fields": ("retention_years",)}),
        (
            "Differences of payments",
            {
                "fields": (("write_off_limit", "write_off_account"), ("bank_charge_limit", "bank_charge_account")),
                "description": "Small differences between an invoice and the money that arrived.",
            },
        ),
        (
            "Price changes",
            {
                "fields": (
                    ("simulation_days", "most_pay_more"),
                    ("most_customer_percent", "most_total_percent"),
                ),
                "description": "The limits apply to what a simulation of the plan's subscriptions shows.",
            },
        ),
        (
            "Emails",
            {
                "fields": (("emails_invoices", "emails_credit_notes", "emails_receipts"),),
                "description": "Replies go to the email address above.",
            },
        ),
        ("On invoices", {"fields": ("bank_details", "payment_terms", "footer", "explains_differences")}),
        (
            "Electronic invoices",
            {
                "fields": (("iban", "bic"), "peppol_id"),
                "description": "Which customers get electronic invoices, and in which format, is set on their pages.",
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CompanyProfile | None = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "site_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> CompanyProfile | None:
        """Return the profile. If none is saved, the form starts with the configured company name."""
        return CompanyProfile.current() if object_id == str(ONLY) else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the profile's page."""
        return HttpResponseRedirect(reverse("admin:billing_companyprofile_change", args=[ONLY]))
