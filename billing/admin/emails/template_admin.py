"""The templates of emails in the admin: a page for each kind, with a preview and a test."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from billing.admin.emails.email_admin import show_text
from billing.admin.emails.forms import TestForm
from billing.emails.outbox import queue_test
from billing.emails.templates import (
    IDS,
    PLACEHOLDERS,
    check_text,
    fill_in,
    fill_in_subject,
    reset_template,
    sample_values,
    save_template,
    template_of,
)
from billing.models import EmailKind, EmailTemplate
from config.office.base import OfficeAdmin
from config.office.dialogs import action, confirm, open_page, staff

FIRST = EmailKind.INVOICE


def _kind_or_404(object_id: str) -> EmailKind:
    kind = next((kind for kind, key in IDS.items() if str(key) == str(object_id)), None)
    if kind is None:
        raise Http404
    return kind


class TemplateForm(forms.ModelForm):
    """The text of an email, with the placeholders of its kind only."""

    class Meta:
        model = EmailTemplate
        fields = ("subject", "text")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        for field in ("subject", "text"):
            check_text(EmailKind(self.instance.kind), field, values.get(field, ""))
        return values


@admin.register(EmailTemplate)
class EmailTemplateAdmin(OfficeAdmin):
    """The text of each kind of email."""

    form = TemplateForm
    fieldsets = (
        (None, {"fields": ("kinds", "subject", "text", "placeholders")}),
        ("Preview with sample values", {"fields": ("subject_preview", "text_preview")}),
    )
    readonly_fields = ("kinds", "placeholders", "subject_preview", "text_preview")
    actions_detail = ("send_test", "reset_one")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: EmailTemplate | None = None) -> bool:
        return False  # "Use the product's text" does so

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> EmailTemplate | None:
        """Return the saved text, or the product's."""
        kind = next((kind for kind, key in IDS.items() if str(key) == object_id), None)
        return None if kind is None else template_of(kind)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Open the first template, which links to the others."""
        return HttpResponseRedirect(reverse("admin:billing_emailtemplate_change", args=[IDS[FIRST]]))

    def save_model(self, request: HttpRequest, obj: EmailTemplate, form: Any, change: bool) -> None:
        save_template(obj, by=staff(request))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "text" and field is not None:
            field.widget.attrs["rows"] = 12
            field.strip = False
        return field

    @display(description="Emails")
    def kinds(self, template: EmailTemplate) -> SafeString:
        pages = ((reverse("admin:billing_emailtemplate_change", args=[key]), kind.label) for kind, key in IDS.items())
        return format_html_join(" · ", '<a class="ch-link" href="{}">{}</a>', pages)

    @display(description="Placeholders")
    def placeholders(self, template: EmailTemplate) -> SafeString:
        known = PLACEHOLDERS[EmailKind(template.kind)].items()
        rows = ((f"{{{{ {name} }}}}", text) for name, text in known)
        return format_html("<ul>{}</ul>", format_html_join("", '<li><code class="ch-code">{}</code> {}</li>', rows))

    @display(description="Subject")
    def subject_preview(self, template: EmailTemplate) -> str:
        return fill_in_subject(template.subject, sample_values(EmailKind(template.kind)))

    @display(description="Text")
    def text_preview(self, template: EmailTemplate) -> SafeString:
        return show_text(fill_in(template.text, sample_values(EmailKind(template.kind))))

    def has_reset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        is_changed = EmailTemplate.objects.filter(pk=object_id or 0).exists()
        return bool(self.has_change_permission(request)) and is_changed

    @action(
        description="Send a test",
        icon="send",
        permissions=["change"],
        dialog={
            "title": "Send a test",
            "description": "The saved text with sample values, as text and HTML.",
            "form_class": TestForm,
            "form_submit_text": "Send",
        },
    )
    def send_test(self, request: HttpRequest, form: TestForm, object_id: str) -> HttpResponse:
        """Send the saved text with sample values to a colleague."""
        kind = _kind_or_404(object_id)
        to = form.cleaned_data["to"]
        email = queue_test(template_of(kind), sample_values(kind), to, now=timezone.now(), by=staff(request))
        return open_page(request, email.get_absolute_url(), "The test will be sent within seconds.")

    @action(
        description="Use the product's text",
        icon="restart_alt",
        permissions=["reset"],
        url_path="reset",
        dialog=confirm("Use the product's text again?", "Your subject and text are removed.", "Use it"),
    )
    def reset_one(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Remove the saved text."""
        reset_template(_kind_or_404(object_id), by=staff(request))
        url = reverse("admin:billing_emailtemplate_change", args=[object_id])
        return open_page(request, url, "The product's text is used again.")
