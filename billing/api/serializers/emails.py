"""Emails and their templates, in requests and answers."""

from typing import Any

from rest_framework import serializers

from billing.emails.templates import TEMPLATE_KINDS
from billing.models import EmailEventKind, EmailKind, EmailState
from billing.models.emails import LONGEST_SUBJECT, LONGEST_TEXT
from config.api.fields import BlankAsNullField, DayIn, TextField
from customers.models.customers import MOST_RECIPIENTS

DOCUMENTS = ("invoice_id", "credit_note_id", "payment_id", "customer_id")


class RecipientsIn(serializers.Serializer[Any]):
    """Who gets the email. Without `to`, it goes to the customer's recipients."""

    to = serializers.ListField(
        child=serializers.EmailField(max_length=254), required=False, max_length=MOST_RECIPIENTS, default=list
    )
    cc = serializers.ListField(
        child=serializers.EmailField(max_length=254),
        required=False,
        max_length=MOST_RECIPIENTS,
        default=list,
        help_text="Only together with `to`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["cc"] and not attrs["to"]:
            raise serializers.ValidationError({"cc": "Send to, too. Without it, the customer's recipients are used."})
        return attrs


class EmailIn(RecipientsIn):
    """A document to email: one of `invoice_id`, `credit_note_id`, `payment_id` for a receipt, or a statement."""

    invoice_id = TextField(40)
    credit_note_id = TextField(40)
    payment_id = TextField(40)
    customer_id = TextField(40, help_text="For a statement, with `from_date` and `to_date`.")
    from_date = DayIn(required=False, help_text="The first day of the statement, in the customer's time zone.")
    to_date = DayIn(required=False, help_text="Its last day, inclusive.")
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="A statement of one currency only.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = [name for name in DOCUMENTS if attrs.get(name)]
        if len(named) != 1:
            raise serializers.ValidationError({"invoice_id": f"Send exactly one of {', '.join(DOCUMENTS)}."})
        for name in ("from_date", "to_date"):
            if named == ["customer_id"] and not attrs.get(name):
                raise serializers.ValidationError({name: "A statement needs its first and last day."})
            if named != ["customer_id"] and attrs.get(name):
                raise serializers.ValidationError({name: "Only statements have days. Leave this field out."})
        if named != ["customer_id"] and attrs.get("currency"):
            raise serializers.ValidationError({"currency": "Only for statements. Leave this field out."})
        return super().validate(attrs)


class EmailEventOut(serializers.Serializer[Any]):
    """Something that happened to an email, at an attempt or as the provider reported it."""

    event = serializers.ChoiceField(EmailEventKind.choices, source="kind")
    at = serializers.DateTimeField()
    recipient = BlankAsNullField(help_text="Null if it concerns all recipients.")
    detail = serializers.CharField()


class EmailOut(serializers.Serializer[Any]):
    """An email to a customer. `sent` means that the mail server took it; a provider may report a bounce later.

    An `unconfirmed` email may have been sent: the connection broke, or the process ended, before the server's answer
    was noted. It is never sent again automatically.
    """

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(EmailKind.choices)
    status = serializers.ChoiceField(EmailState.choices, source="state")
    customer_id = serializers.CharField(source="customer.public_id", allow_null=True)
    invoice_id = serializers.CharField(source="invoice.public_id", allow_null=True)
    credit_note_id = serializers.CharField(source="credit_note.public_id", allow_null=True)
    payment_id = serializers.CharField(source="payment.public_id", allow_null=True)
    from_date = serializers.DateField(source="first_day", allow_null=True)
    to_date = serializers.DateField(source="last_day", allow_null=True)
    currency = BlankAsNullField(help_text="Of a statement of one currency.")
    is_automatic = serializers.BooleanField()
    resends_id = serializers.CharField(source="resends.public_id", allow_null=True)
    to = serializers.ListField(child=serializers.CharField())
    cc = serializers.ListField(child=serializers.CharField())
    subject = serializers.CharField()
    tries = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    problem = BlankAsNullField(source="last_error")
    handled_at = serializers.DateTimeField(allow_null=True, help_text="When someone took care of the problem.")
    attachment_name = BlankAsNullField()
    attachment_size = serializers.IntegerField(allow_null=True)
    attachment_sha256 = BlankAsNullField()
    created_at = serializers.DateTimeField()


class EmailWhole(EmailOut):
    """An email with its text, and what happened to it."""

    text = serializers.CharField()
    html = serializers.CharField()
    events = EmailEventOut(many=True)


class EmailPreview(serializers.Serializer[Any]):
    """An email as it would be sent now."""

    kind = serializers.ChoiceField(EmailKind.choices)
    to = serializers.ListField(child=serializers.CharField())
    cc = serializers.ListField(child=serializers.CharField())
    subject = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField()


class TemplateIn(serializers.Serializer[Any]):
    """The text of a kind of email. Placeholders are written as `{{ company }}`; there is no other syntax."""

    subject = serializers.CharField(max_length=LONGEST_SUBJECT)
    text = serializers.CharField(max_length=LONGEST_TEXT, trim_whitespace=False)


class TestIn(serializers.Serializer[Any]):
    """Where to send the test."""

    to = serializers.EmailField(max_length=254)


class TemplateOut(serializers.Serializer[Any]):
    """The text of a kind of email."""

    kind = serializers.ChoiceField(TEMPLATE_KINDS)
    subject = serializers.CharField()
    text = serializers.CharField()
    is_changed = serializers.BooleanField(help_text="False: it is the product's text.")
    placeholders = serializers.ListField(child=serializers.CharField())
