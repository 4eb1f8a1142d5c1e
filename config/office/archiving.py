"""Buttons to archive a row and to activate it again, for models with a `state` or with an `archived_at`."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from config.office.dialogs import OptionalReasonForm, ReasonForm, action, carry_out, confirm, staff
from config.office.links import page_of

ACTIVE, ARCHIVED = "active", "archived"


class Archiving:
    """Permissions for the actions made by `archive_action` and `activate_action`: anyone who can change a row has both.

    `archive_with` and `activate_with` are the functions that do the work.
    """

    archive_with: ClassVar[Callable[..., Any]]
    activate_with: ClassVar[Callable[..., Any]]

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change_in_state(request, object_id, ACTIVE)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change_in_state(request, object_id, ARCHIVED)

    def is_in_state(self: Any, object_id: Any, state: str) -> bool:
        return bool(self.model._default_manager.filter(pk=object_id, state=state).exists())

    def _can_change_in_state(self: Any, request: HttpRequest, object_id: Any, state: str) -> bool:
        return bool(self.has_change_permission(request) and self.is_in_state(object_id, state))


class ArchivingByTime(Archiving):
    """As `Archiving`, for models without a state: a row with an `archived_at` is archived."""

    def is_in_state(self: Any, object_id: Any, state: str) -> bool:
        rows = self.model._default_manager.filter(pk=object_id, archived_at__isnull=state == ACTIVE)
        return bool(rows.exists())


def archive_action(noun: str, description: str) -> Any:
    """Create the Archive button. Its dialog explains the consequences and requires a reason."""

    @action(
        description="Archive",
        icon="archive",
        variant=ActionVariant.DANGER,
        permissions=["archive"],
        dialog=confirm(f"Archive this {noun}?", description, "Archive", ReasonForm),
    )
    def archive(self: Any, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row, reason = self.model._default_manager.get(pk=object_id), form.cleaned_data["reason"]

        def work() -> None:
            type(self).archive_with(row, now=timezone.now(), by=staff(request), reason=reason)

        return carry_out(request, work, done=f"{row} is archived.", then=page_of(row))

    return archive


def activate_action(noun: str, description: str) -> Any:
    """Create the Activate button. Its dialog explains the consequences."""

    @action(
        description="Activate",
        icon="unarchive",
        variant=ActionVariant.SUCCESS,
        permissions=["activate"],
        dialog=confirm(f"Activate this {noun}?", description, "Activate", OptionalReasonForm),
    )
    def activate(self: Any, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        row, reason = self.model._default_manager.get(pk=object_id), form.cleaned_data["reason"]

        def work() -> None:
            type(self).activate_with(row, by=staff(request), reason=reason)

        return carry_out(request, work, done=f"{row} is active.", then=page_of(row))

    return activate
