"""API views for a customer's personal data: its export, and its erasure. Both need the scope `personal_data`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.personal_data.erasing import find_erasure, start_erasure
from billing.personal_data.export import start_export
from billing.personal_data.preview import preview_erasure
from billing.personal_data.retention import kept_until
from billing.tasks import enqueue_erasures
from config.api.openapi import operation
from config.api.views import ApiView, read_body
from config.personal_data.models import ErasureStatus, PersonalDataErasure
from config.webhooks.outbox import Payload, register_renderer
from customers.api.customers import customer_of
from customers.models import Customer

SCOPE = "personal_data"
TAG = "Customers"


class PersonalDataOut(serializers.Serializer[Any]):
    """Everything that is stored about a customer."""

    customer_id = serializers.CharField()
    exported_at = serializers.DateTimeField()
    data = serializers.DictField(  # type: ignore[assignment]  # a field named as the base class's property
        child=serializers.ListField(child=serializers.DictField()),
        help_text="The rows of each table, events, PDFs of documents, webhook messages, and entries of the change log.",
    )


class ErasureIn(serializers.Serializer[Any]):
    """Why the personal data is erased. The reason is kept, so don't name anyone in it."""

    reason = serializers.CharField(max_length=255)


class PartOut(serializers.Serializer[Any]):
    """A part of what is stored, and why it is erased or kept."""

    title = serializers.CharField()
    count = serializers.IntegerField(allow_null=True, help_text="Rows; null if they aren't counted.")
    is_more = serializers.BooleanField(help_text="Whether there are more rows than `count`.")
    why = serializers.CharField()
    until = serializers.DateField(allow_null=True, help_text="From this day on it is erased, too.")


class ErasureOut(serializers.Serializer[Any]):
    """The erasure of a customer's personal data. Before it is `running`, `erased` and `kept` are a preview."""

    customer_id = serializers.CharField()
    status = serializers.ChoiceField(ErasureStatus.values)
    reason = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    blockers = serializers.ListField(child=serializers.CharField(), help_text="What must be done before.")
    erased = PartOut(many=True)
    kept = PartOut(many=True)


class ErasedOut(serializers.Serializer[Any]):
    """A customer whose personal data was erased. Erase it in your systems, too."""

    id = serializers.CharField(help_text="The customer.")
    external_id = serializers.CharField(help_text="A pseudonym, if the former external ID was personal data.")
    erased_at = serializers.DateTimeField()
    kept_until = serializers.DateField(allow_null=True, help_text="Until when issued documents are kept; null if none.")


class PersonalDataView(ApiView):
    """A view of personal data, which needs a scope of its own, also for reading."""

    write_scope = SCOPE

    def scope_for(self, request: Request) -> str:
        return SCOPE


class PersonalData(PersonalDataView):
    """Export everything that is stored about a customer. The response is written in parts as it is read."""

    @operation(
        "exportCustomerPersonalData",
        "Export a customer's personal data",
        tag=TAG,
        answers={200: PersonalDataOut},
        errors=(404,),
        description="Requires an API key with the scope `personal_data`.",
    )
    def get(self, request: Request, customer_id: str) -> StreamingHttpResponse:
        content = start_export(customer_of(customer_id), by=None, now=timezone.now())
        return StreamingHttpResponse(content, content_type="application/json")


class PersonalDataErasing(PersonalDataView):
    """Preview, start or follow the erasure of a customer's personal data."""

    @operation(
        "getCustomerErasure",
        "Retrieve or preview the erasure of a customer's personal data",
        tag=TAG,
        answers={200: ErasureOut},
        errors=(404,),
        description="Requires an API key with the scope `personal_data`.",
    )
    def get(self, request: Request, customer_id: str) -> Response:
        return Response(_describe(customer_of(customer_id), now=timezone.now()))

    @operation(
        "eraseCustomerPersonalData",
        "Erase a customer's personal data",
        tag=TAG,
        body=ErasureIn,
        answers={200: ErasureOut},
        errors=(400, 404),
        example={"reason": "Request of 28 November, ticket 4711"},
        may_wait=True,
        description="It can't be undone. Documents that tax law requires are kept. Repeating the request changes "
        "nothing. Fails (400) while there are subscriptions, drafts or unpaid invoices. Requires the scope "
        "`personal_data`.",
    )
    def post(self, request: Request, customer_id: str) -> Response:
        customer, now = customer_of(customer_id), timezone.now()
        start_erasure(customer, reason=read_body(request, ErasureIn)["reason"], now=now, by=None)
        enqueue_erasures()
        return Response(_describe(customer, now=now))


def _describe(customer: Customer, *, now: datetime) -> Any:
    erasure, preview = find_erasure(customer), preview_erasure(customer, now=now)
    status = erasure.status if erasure else ErasureStatus.NONE
    return ErasureOut(
        {
            "customer_id": customer.public_id,
            "status": status.value,
            "reason": erasure.reason if erasure else None,
            "started_at": erasure.started_at if erasure else None,
            "finished_at": erasure.finished_at if erasure else None,
            "blockers": [] if erasure else preview.blockers,
            "erased": [] if status == ErasureStatus.FINISHED else preview.erased,
            "kept": preview.kept,
        }
    ).data


def render_erasures(ids: Sequence[int], at: datetime) -> Payload:
    """Render erased customers for webhook messages."""
    for erasure in PersonalDataErasure.objects.filter(pk__in=ids):
        customer = Customer.objects.get(pk=erasure.customer_id)
        erased = {"id": customer.public_id, "external_id": customer.external_id, "erased_at": at}
        yield customer.public_id, ErasedOut(erased | {"kept_until": kept_until(customer.pk)}).data


def register() -> None:
    """Register the renderer of erased customers."""
    register_renderer("customer", render_erasures)
