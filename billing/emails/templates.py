"""The texts of emails. Staff edit them with placeholders such as {{ number }}: values are inserted, nothing else.

There are no tags, filters or attributes, so that a text can read nothing but the values of its own email.
"""

import re
from collections.abc import Mapping

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.loader import render_to_string

from billing.models import EmailKind, EmailTemplate
from billing.models.company import seller
from billing.models.emails import LONGEST_SUBJECT
from config.audit import recorded

PLACEHOLDER = re.compile(r"\{\{ *([a-z_]+) *\}\}")
# What prints as nothing, or changes the reading direction of the text after it.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+")

COMMON = {
    "company": "The name of your company",
    "customer": "The customer's name",
    "greeting_name": "The customer's contact, or else the customer's name",
}
OF_INVOICE = COMMON | {
    "number": "The invoice's number",
    "total": "The total with its currency",
    "amount_due": "What is left to pay",
    "issue_date": "The day of issue",
    "due_date": "The day by which it is to be paid",
    "po_number": "The purchase order number",
}
PLACEHOLDERS: dict[EmailKind, dict[str, str]] = {
    EmailKind.INVOICE: OF_INVOICE,
    EmailKind.CREDIT_NOTE: COMMON
    | {
        "number": "The credit note's number",
        "invoice_number": "The number of its invoice",
        "total": "The total with its currency",
        "issue_date": "The day of issue",
    },
    EmailKind.RECEIPT: COMMON
    | {
        "amount": "The amount paid",
        "payment_date": "The day of the payment",
        "invoice_number": "The number of the invoice",
        "amount_due": "What is left to pay on the invoice",
    },
    EmailKind.STATEMENT: COMMON | {"first_day": "The first day", "last_day": "The last day"},
    EmailKind.DUE_SOON: OF_INVOICE,
    EmailKind.REMINDER: OF_INVOICE,
    EmailKind.FINAL_NOTICE: OF_INVOICE,
}
IDS = {
    EmailKind.INVOICE: 1,
    EmailKind.CREDIT_NOTE: 2,
    EmailKind.RECEIPT: 3,
    EmailKind.STATEMENT: 4,
    EmailKind.DUE_SOON: 5,
    EmailKind.REMINDER: 6,
    EmailKind.FINAL_NOTICE: 7,
}
TEMPLATE_KINDS = [choice for choice in EmailKind.choices if choice[0] != EmailKind.TEST]
SAMPLES = {
    "customer": "Example Customer Ltd.",
    "greeting_name": "Anna Miller",
    "number": "INV-000123",
    "invoice_number": "INV-000123",
    "total": "$1,250.00",
    "amount": "$1,250.00",
    "amount_due": "$1,250.00",
    "issue_date": "1 September 2026",
    "due_date": "1 October 2026",
    "payment_date": "15 September 2026",
    "first_day": "1 August 2026",
    "last_day": "31 August 2026",
    "po_number": "PO 4711",
}
DEFAULTS: dict[EmailKind, tuple[str, str]] = {
    EmailKind.INVOICE: (
        "Invoice {{ number }} from {{ company }}",
        """Hello {{ greeting_name }},

Please find attached invoice {{ number }} of {{ issue_date }} for {{ total }}.
Amount due: {{ amount_due }}, by {{ due_date }}.

Kind regards
{{ company }}
""",
    ),
    EmailKind.CREDIT_NOTE: (
        "Credit note {{ number }} from {{ company }}",
        """Hello {{ greeting_name }},

Please find attached credit note {{ number }} for {{ total }}. It corrects invoice {{ invoice_number }}.

Kind regards
{{ company }}
""",
    ),
    EmailKind.RECEIPT: (
        "Payment received for invoice {{ invoice_number }}",
        """Hello {{ greeting_name }},

Thank you for your payment of {{ amount }} on {{ payment_date }} for invoice {{ invoice_number }}.
Left to pay: {{ amount_due }}.

Kind regards
{{ company }}
""",
    ),
    EmailKind.STATEMENT: (
        "Statement of account from {{ company }}",
        """Hello {{ greeting_name }},

Please find attached your statement of account from {{ first_day }} to {{ last_day }}.

Kind regards
{{ company }}
""",
    ),
    EmailKind.DUE_SOON: (
        "Invoice {{ number }} is due on {{ due_date }}",
        """Hello {{ greeting_name }},

Invoice {{ number }} of {{ issue_date }} is due on {{ due_date }}.
Left to pay: {{ amount_due }}.

If you have paid already, thank you: please ignore this email.

Kind regards
{{ company }}
""",
    ),
    EmailKind.REMINDER: (
        "Reminder: invoice {{ number }} was due on {{ due_date }}",
        """Hello {{ greeting_name }},

We haven't received full payment of invoice {{ number }} of {{ issue_date }}, which was due on {{ due_date }}.
Left to pay: {{ amount_due }}.

If you have paid already, thank you: please ignore this email. If something about the invoice is wrong, please reply.

Kind regards
{{ company }}
""",
    ),
    EmailKind.FINAL_NOTICE: (
        "Final notice: invoice {{ number }} is overdue",
        """Hello {{ greeting_name }},

Invoice {{ number }} of {{ issue_date }} was due on {{ due_date }} and is still unpaid.
Left to pay: {{ amount_due }}.

Please pay now, or reply to this email so that we can find a solution. Otherwise, we may have to pause your service.

Kind regards
{{ company }}
""",
    ),
}


def template_of(kind: EmailKind) -> EmailTemplate:
    """Return the text that staff saved for a kind of email, or else an unsaved one of the product."""
    subject, text = DEFAULTS[kind]
    unchanged = EmailTemplate(pk=IDS[kind], kind=kind, subject=subject, text=text)
    return EmailTemplate.objects.filter(pk=IDS[kind]).first() or unchanged


def sample_values(kind: EmailKind) -> dict[str, str]:
    """Return values for previews and tests: the company's own name, and an example for everything else."""
    values = SAMPLES | {"company": seller()["name"]}
    return {name: values[name] for name in PLACEHOLDERS[kind]}


def save_template(template: EmailTemplate, *, by: User | None) -> EmailTemplate:
    """Save the text of a kind of email. Emails that already wait keep their text. Raises `ValidationError`."""
    check_text(EmailKind(template.kind), "subject", template.subject)
    check_text(EmailKind(template.kind), "text", template.text)
    with transaction.atomic(), recorded(by=by):
        template.full_clean(validate_unique=False)
        template.save()
    return template


def reset_template(kind: EmailKind, *, by: User | None) -> None:
    """Return to the text of the product. Safe to repeat."""
    with transaction.atomic(), recorded(by=by):
        for template in EmailTemplate.objects.filter(pk=IDS[kind]):
            template.delete()


def check_text(kind: EmailKind, field: str, text: str) -> None:
    """Raise `ValidationError` for placeholders that this kind of email doesn't have, and for braces of other syntax."""
    unknown = [name for name in PLACEHOLDER.findall(text) if name not in PLACEHOLDERS[kind]]
    if unknown:
        known = ", ".join(PLACEHOLDERS[kind])
        raise ValidationError({field: f"{{{{ {unknown[0]} }}}} isn't a placeholder of this email. It has: {known}."})
    if re.search(r"\{\{|\}\}|\{%", PLACEHOLDER.sub("", text)):
        raise ValidationError({field: "Write placeholders as {{ company }}. Other {{ }} and {% %} aren't supported."})


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Insert the values. A value can't add a line or a placeholder: it is put on one line, and inserted once.

    >>> fill_in("Hello {{ customer }}", {"customer": "A{{ total }}", "total": "$1.00"})
    'Hello A{{ total }}'
    """
    return PLACEHOLDER.sub(lambda match: on_one_line(values.get(match[1], "")), text)


def fill_in_subject(text: str, values: Mapping[str, str]) -> str:
    """Insert the values into a subject, which is one line: a value can't add a header to the email."""
    subject = on_one_line(fill_in(text, values))
    return subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…"


def on_one_line(text: str) -> str:
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def make_html(text: str, *, company: str) -> str:
    """Make the HTML of an email from its text, which is escaped: neither staff nor customers can add tags or links."""
    return render_to_string("emails/email.html", {"text": text.strip(), "company": company})
