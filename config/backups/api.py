"""The API view of backups: whether they work, for monitoring."""

from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.fields import BlankAsNullField
from config.api.filters import MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView
from config.backups.models import Backup


class BackupFilter(filters.FilterSet):
    started_from = MomentFilter(field_name="started_at", lookup_expr="gte", label="The earliest start, inclusive.")
    started_to = MomentFilter(field_name="started_at", lookup_expr="lt", label="The latest start, exclusive.")

    class Meta:
        model = Backup
        fields: ClassVar[list[str]] = []


class BackupOut(serializers.Serializer[Any]):
    """A backup that was made, or that failed."""

    id = serializers.CharField(source="pk")
    name = BlankAsNullField(help_text="The folder in BACKUP_DIR; null if no backup was written.")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    size = serializers.IntegerField(help_text="The size of the dump in bytes.")
    tables = serializers.IntegerField()
    rows = serializers.IntegerField()
    verified_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was restored into a scratch database and every table compared."
    )
    problem = BlankAsNullField(help_text="Why it failed, or what differed in the restored copy.")


class Backups(ApiView):
    """List backups, the newest first."""

    @operation(
        "listBackups",
        "List backups",
        tag="Backups",
        filters=BackupFilter,
        answers={200: listed("BackupList", BackupOut)},
        description="Backups that were made or that failed, the newest first. Backups are made and restored on the "
        "server, with `manage.py backup` and `manage.py restore`.",
    )
    def get(self, request: Request) -> Response:
        return page(request, Backup.objects.order_by("-pk"), BackupFilter, BackupOut)
