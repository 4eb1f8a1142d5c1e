"""Archiving and activating from an object's page: two buttons that ask, for whatever is active or archived."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from config.office.dialogs import OptionalReasonForm, ReasonForm, carry_out, staff
from config.office.links import page_of

ACTIVE, ARCHIVED = "active", "archived"


class Archiving:
    """Gives a model admin the actions `archive` and `activate`, made by `archive_action` and `activate_action`.

    `archive_with` and `activate_with` are the domain's functions for it. Who may change an object may do both.
    """

    archive_with: ClassVar[Callable[..., Any]]
    activate_with: ClassVar[Callable[..., Any]]

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_leave(request, object_id, ACTIVE)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_leave(request, object_id, ARCHIVED)

    def is_in_state(self: Any, object_id: Any, state: str) -> bool:
        return bool(self.model._default_manager.filter(pk=object_id, state=state).exists())

    def _may_leave(self: Any, request: HttpRequest, object_id: Any, state: str) -> bool:
        return bool(self.has_change_permission(request) and self.is_in_state(object_id, state))


def archive_action(noun: str, description: str) -> Any:
    """Make the button that archives, with what its dialog says comes of it. It wants a reason."""

    @action(
        description="Archive",
        icon="archive",
        variant=ActionVariant.DANGER,
        permissions=["archive"],
        dialog={
            "title": f"Archive this {noun}?",
            "description": description,
            "form_class": ReasonForm,
            "form_submit_text": "Archive",
        },
    )
    def archive(self: Any, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        found, reason, by = self.model._default_manager.get(pk=object_id), form.cleaned_data["reason"], staff(request)

        def work() -> None:
            type(self).archive_with(found, now=timezone.now(), by=by, reason=reason)

        return carry_out(request, work, done=f"{found} is archived.", then=page_of(found))

    return archive


def activate_action(noun: str, description: str) -> Any:
    """Make the button that activates again, with what its dialog says comes of it."""

    @action(
        description="Activate",
        icon="unarchive",
        variant=ActionVariant.SUCCESS,
        permissions=["activate"],
        dialog={
            "title": f"Activate this {noun}?",
            "description": description,
            "form_class": OptionalReasonForm,
            "form_submit_text": "Activate",
        },
    )
    def activate(self: Any, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        found, reason, by = self.model._default_manager.get(pk=object_id), form.cleaned_data["reason"], staff(request)

        def work() -> None:
            type(self).activate_with(found, by=by, reason=reason)

        return carry_out(request, work, done=f"{found} is active.", then=page_of(found))

    return activate
