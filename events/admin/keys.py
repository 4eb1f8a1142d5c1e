"""API keys: created and shown once, rotated and revoked. Keys are never deleted, and hashes never shown."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from config.audit import recorded
from config.office.base import AuditedHistory
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.shown_once import ShownOnceAdmin
from config.office.wording import badge, code, moment
from config.signin.confirming import ConfirmedForms
from events.access.grants import keys_beyond_rights, missing_scopes, take_responsibility
from events.access.keys import clear_key_cache, make_key, revoke, rotate
from events.models import ApiKey, Scope

OVERLAPS = ((0, "immediately"), (1, "in 1 hour"), (24, "in 24 hours"), (24 * 7, "in 7 days"))


class ScopesField(forms.MultipleChoiceField):
    """Scopes as checkboxes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget, **kwargs)


class NewKeyForm(forms.ModelForm):
    """Create a key: its name, scopes, expiry and rate limits."""

    user: User  # who creates the key; the admin makes a subclass for each request
    scopes = ScopesField(initial=[Scope.EVENTS_WRITE.value], help_text='"Everything" includes all others.')

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at", "single_per_minute", "bulk_per_minute")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        missing = missing_scopes(self.user, Scope.values)
        scopes = cast(forms.MultipleChoiceField, self.fields["scopes"])
        scopes.choices = [(value, label) for value, label in Scope.choices if value not in missing]
        if missing:
            scopes.help_text = "A key can't do more than you can, so some scopes aren't offered."

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise ValidationError("This time has passed, so the key would never work.")
        return expires_at


class RotateForm(BaseDialogForm):
    """Ask how long the old key keeps working."""

    overlap = forms.TypedChoiceField(
        label="The old key stops working", choices=OVERLAPS, coerce=int, initial=24, widget=UnfoldAdminSelectWidget
    )


class KeyStateFilter(DropdownFilter):
    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", "Active"),
            ("waiting", "Waiting for approval"),
            ("expired", "Expired"),
            ("revoked", "Revoked"),
            ("beyond", "Beyond the responsible colleague's permissions"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "beyond":
            return queryset.filter(pk__in=[key.pk for key in keys_beyond_rights()])
        now = timezone.now()
        condition = {
            "waiting": Q(revoked_at=None, awaits_approval=True),
            "active": Q(revoked_at=None, awaits_approval=False) & (Q(expires_at=None) | Q(expires_at__gt=now)),
            "expired": Q(revoked_at=None, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }.get(self.value() or "")
        return queryset.filter(condition) if condition is not None else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ConfirmedForms, AuditedHistory, ShownOnceAdmin):
    """API keys of client systems. A key is shown once, when it is created; only its hash is stored."""

    list_display = ("name", "prefix_text", "state_badge", "scopes_text", "last_used", "expires", "responsible_name")
    list_filter = (KeyStateFilter,)
    list_select_related = ("created_by", "responsible")
    search_fields = ("name", "prefix", "public_id")
    search_help_text = "Name or prefix"
    shown_once_template = "admin/events/apikey/secret.html"
    empty_title = "No API keys yet"
    empty_text = "Client systems need an API key to send events."
    actions_detail = ("rotate_key", "revoke_key", "take_over")
    readonly_fields = (
        *("state_badge", "prefix_text", "scopes_text", "expires", "revoked", "last_used"),
        *("created_by", "responsible_text", "replaces"),
    )
    fieldsets = (
        (None, {"fields": ("name", "state_badge", "prefix_text", "scopes_text", "last_used", "expires", "revoked")}),
        ("Responsible", {"fields": ("responsible_text", "created_by")}),
        ("Limits", {"fields": ("single_per_minute", "bulk_per_minute")}),
        ("Rotation", {"fields": ("replaces",), "classes": ("collapse",)}),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "scopes", "expires_at")}),
        ("Limits", {"fields": ("single_per_minute", "bulk_per_minute")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # events refer to the key that sent them

    def has_rotate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user can rotate or revoke the key, which must not be revoked already."""
        if not request.user.has_perm("events.change_apikey"):
            return False
        return not str(object_id).isdecimal() or ApiKey.objects.filter(pk=object_id, revoked_at=None).exists()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = {} if obj else {"form": type("NewKeyForm", (NewKeyForm,), {"user": request.user})}
        return super().get_form(request, obj, change, **form | kwargs)

    def save_model(self, request: Any, obj: ApiKey, form: Any, change: bool) -> None:
        """Save the name and limits, or create the key. Its secret is only in the response, nowhere else."""
        if change:
            super().save_model(request, obj, form, change)
            clear_key_cache()
            return
        key, request.new_secret = make_key(**form.cleaned_data, created_by=staff(request))
        obj.pk = key.pk
        obj.refresh_from_db()

    def response_add(self, request: Any, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the new key, which is never shown again."""
        return self._show_secret(request, obj, request.new_secret, f"API key “{obj.name}” created")

    @action(
        description="Rotate",
        icon="autorenew",
        permissions=["rotate"],
        url_path="rotate",
        confirmed=True,
        dialog=confirm(
            "Rotate this key?",
            "The new key has the same name, scopes and limits, and is shown once. Update the client system before the"
            " old key stops working.",
            "Rotate key",
            RotateForm,
        ),
    )
    def rotate_key(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Create a new key and show it once."""
        key = get_object_or_404(ApiKey, pk=object_id)
        overlap = timedelta(hours=form.cleaned_data["overlap"])
        when = dict(OVERLAPS)[form.cleaned_data["overlap"]]
        with recorded(by=staff(request), reason=f"Rotated: the old key stops working {when}"):
            successor, secret = rotate(key, now=timezone.now(), overlap=overlap, by=staff(request))
        return self._show_secret(request, successor, secret, f"The old key {key.prefix}… stops working {when}")

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["rotate"],
        url_path="revoke",
        dialog=confirm(
            "Revoke this key?",
            "This can't be undone. Within three seconds, requests with this key get a 401 response, and their events"
            " aren't stored.",
            "Revoke key",
            ReasonForm,
        ),
    )
    def revoke_key(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Revoke the key and record the reason."""
        with recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            key = revoke(get_object_or_404(ApiKey, pk=object_id), now=timezone.now())
        return open_page(request, _url(key), f"The key {key.prefix}… was revoked.")

    def has_take_over_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user can take responsibility for the key, which must be someone else's."""
        if not self.has_rotate_permission(request, object_id):
            return False
        return not ApiKey.objects.filter(pk=object_id or 0, responsible=staff(request)).exists()

    @action(
        description="Take responsibility",
        icon="how_to_reg",
        permissions=["take_over"],
        url_path="responsible",
        confirmed=True,
        dialog=confirm(
            "Take responsibility for this key?",
            "The key continues to work, and your permissions limit it from now on. Others know its secret, so it can't"
            " decide about approvals until you rotate it.",
            "Take responsibility",
            ReasonForm,
        ),
    )
    def take_over(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Make the user responsible for the key."""
        by = staff(request)
        with recorded(by=by, reason=form.cleaned_data["reason"]):
            key = take_responsibility(get_object_or_404(ApiKey, pk=object_id), by=by)
        return open_page(request, _url(key), f"You are responsible for the key {key.prefix}….")

    def _show_secret(self, request: HttpRequest, key: ApiKey, secret: str, title: str) -> HttpResponse:
        return self.show_once(
            request,
            title=title,
            secret=secret,
            key=key,
            api_url=request.build_absolute_uri("/v1/events"),
            list_url=reverse("admin:events_apikey_changelist"),
            may_send=bool({Scope.ALL, Scope.EVENTS_WRITE} & set(key.scopes)),
        )

    @display(description="Key")
    def prefix_text(self, key: ApiKey) -> SafeString:
        return code(f"{key.prefix}…")

    @display(description="Status")
    def state_badge(self, key: ApiKey) -> SafeString:
        now = timezone.now()
        if key.revoked_at:
            return badge("Revoked", "danger")
        if key.awaits_approval:
            return badge("Waiting for approval", "warning")
        if key.expires_at and key.expires_at <= now:
            return badge("Expired", "warning")
        return badge("Active", "success")

    @display(description="Scopes")
    def scopes_text(self, key: ApiKey) -> SafeString:
        labels = dict(Scope.choices)
        names = ((labels.get(scope, scope),) for scope in key.scopes)
        return format_html_join(" ", '<span class="ch-badge">{}</span>', names)

    @display(description="Responsible", ordering="responsible__username")
    def responsible_name(self, key: ApiKey) -> str:
        return str(key.responsible.get_full_name() or key.responsible.get_username()) if key.responsible else "–"

    @display(description="Responsible")
    def responsible_text(self, key: ApiKey) -> SafeString | str:
        name: str = self.responsible_name(key)
        missing = missing_scopes(key.responsible, key.scopes) if key.responsible and not key.revoked_at else []
        if not missing:
            return name
        scopes = ", ".join(Scope(scope).label for scope in missing)
        return format_html("{} {}", name, badge(f"Lacks permissions for: {scopes}", "warning"))

    @display(description="Last used (UTC)", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return moment(key.last_used_at, seconds=False) if key.last_used_at else "never"

    @display(description="Expires (UTC)", ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return moment(key.expires_at, seconds=False) if key.expires_at else "never"

    @display(description="Revoked")
    def revoked(self, key: ApiKey) -> str:
        return moment(key.revoked_at)


def _url(key: ApiKey) -> str:
    return reverse("admin:events_apikey_change", args=[key.pk])
