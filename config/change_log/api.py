"""The API view of the change log's chain. The entries themselves are in the admin."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.openapi import operation
from config.api.views import ApiView
from config.change_log.status import read_status


class ChangeLogStatusOut(serializers.Serializer[Any]):
    """The chain of hashes over the change log. Note `entries` and `last_hash` elsewhere as an anchor."""

    entries = serializers.IntegerField(help_text="How many entries are chained. New entries follow within seconds.")
    last_hash = serializers.CharField(
        allow_null=True, help_text="The hash of the last entry, 64 hexadecimal digits; null before the first."
    )
    verified_at = serializers.DateTimeField(allow_null=True, help_text="When all entries were verified last.")
    is_intact = serializers.BooleanField(
        allow_null=True, help_text="Whether no entry was changed, deleted or added afterwards."
    )
    problem = serializers.CharField(allow_null=True, help_text="The first entry that isn't as it was written.")


class ChangeLogChain(ApiView):
    """Retrieve the state of the change log's chain, and the result of its latest verification."""

    @operation(
        "getChangeLogStatus",
        "Retrieve the status of the change log",
        tag="Change log",
        answers={200: ChangeLogStatusOut},
    )
    def get(self, request: Request) -> Response:
        status = read_status()
        answer = {
            "entries": status.entries,
            "last_hash": status.last_hash or None,
            "verified_at": status.check.checked_at if status.check else None,
            "is_intact": status.is_intact,
            "problem": (status.check.problem or None) if status.check else None,
        }
        return Response(ChangeLogStatusOut(answer).data)
