"""Settings → Staff and Roles: who can sign in, and what they may do."""

from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin.grantable import grantable_roles, is_grantable, is_within_rights, own_permissions
from config.admin.invitation import invitation_url
from config.admin.role_table import access_table
from config.audit import record_change, recorded
from config.office.base import AuditedHistory, BaseAdmin
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.shown_once import respond_once
from config.refusals import Refused
from config.signin.confirming import ConfirmedForms, confirmed_method
from config.signin.factors import remove_factors
from config.signin.log import record
from config.signin.models import SignInKind
from config.signin.pages import sessions_of
from config.signin.rules import FACTORS
from config.signin.sessions import end_sessions

LIBRARIES = ("account", "mfa", "socialaccount")  # their tables have no pages here, so no permission matters
# Fields of Django's own user, in our words: label and help.
FIELD_TEXTS = {
    "email": ("Email", ""),
    "is_active": ("Active", "If off, the colleague can't sign in. Deactivate instead of deleting, and the name stays."),
    "is_staff": ("Staff", "Required to sign in."),
    "is_superuser": ("Superuser", "Has every permission, whatever the roles."),
    "groups": ("Roles", "What the colleague can view and change. Settings → Roles lists the permissions."),
    "user_permissions": ("Single permissions", "In addition to those of the roles."),
}

for model in (User, Group):
    admin.site.unregister(model)


class Deactivated(Refused):
    """The colleague's account is deactivated."""


class ColleagueForm(forms.ModelForm):
    """A new colleague: name, email and role. The email address is the username."""

    role = forms.ModelChoiceField(
        Group.objects.order_by("name"),
        empty_label="Choose a role",
        widget=UnfoldAdminSelectWidget,
        help_text="What the colleague can view and change. Settings → Roles lists the permissions.",
    )

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")
        widgets = {
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
            "email": UnfoldAdminEmailInputWidget,
        }
        labels = {"email": "Email"}
        help_texts = {"email": "The colleague signs in with this address."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("first_name", "email"):
            self.fields[name].required = True

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(username__iexact=email).exists():
            raise forms.ValidationError("A colleague with this email address exists already.")
        return email

    def save(self, commit: bool = True) -> User:
        """Return an active member of staff who can't sign in until a password is set."""
        user: User = super().save(commit=False)
        user.username, user.is_staff = user.email, True
        user.set_unusable_password()
        if commit:
            user.save()
            self.save_m2m()
        return user

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        self.instance.groups.add(self.cleaned_data["role"])


@admin.register(User)
class UserAdmin(ConfirmedForms, AuditedHistory, BaseUserAdmin, BaseAdmin):  # type: ignore[misc]  # both refine Django's class
    """People who can sign in, with the roles that grant their permissions."""

    form = UserChangeForm
    add_form = ColleagueForm
    add_form_template = "admin/change_form.html"  # Django's own announces further options
    add_fieldsets = ((None, {"fields": ("first_name", "last_name", "email", "role")}),)
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "email", "group_names", "second_factor", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", ("groups", RelatedDropdownFilter))
    list_title = "Staff"
    search_fields = ("username", "first_name", "last_name", "email")
    autocomplete_fields = ("groups",)
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("last_login", "date_joined")
    delete_confirmation_template = "admin/config/delete_colleague.html"
    actions_detail = ("new_password_link", "sign_out_everywhere", "reset_second_factor")
    change_form_outer_after_template = "admin/config/colleague_sessions.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=FACTORS)
        users: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return users.annotate(has_factor=Exists(factors))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_within_rights(request, obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_within_rights(request, obj) and bool(super().has_delete_permission(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if staff(request).is_superuser else (*fields, "is_superuser")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = grantable_roles(request)
        elif db_field.name == "user_permissions":
            kwargs["queryset"] = own_permissions(request).exclude(content_type__app_label__in=LIBRARIES)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        if obj is None:
            form.base_fields["role"].queryset = grantable_roles(request)
            return form
        for name, (label, text) in FIELD_TEXTS.items():
            if field := form.base_fields.get(name):
                field.label, field.help_text = label, text
        return form

    @display(description="Name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @display(description="Second factor", boolean=True)
    def second_factor(self, user: Any) -> bool:
        return bool(user.has_factor)

    @display(description="Roles")
    def group_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the colleague with their second factors and sessions."""
        user = User.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        facts = {
            "colleague": user,
            "factors": Authenticator.objects.filter(user=user, type__in=FACTORS).order_by("pk") if user else [],
            "sessions": sessions_of(user, current=request.session.session_key) if user else [],
            "log_url": f"{reverse('admin:config_signinevent_changelist')}?user__id__exact={object_id}",
        }
        return super().change_view(request, object_id, form_url, facts | (extra_context or {}))

    @confirmed_method
    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().user_change_password(request, *args, **kwargs)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, one_button | (extra_context or {}))

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        """Show the link with which the new colleague sets a password."""
        return self._password_link(request, obj, f"{obj.get_full_name()} can sign in")

    @action(
        description="New password link",
        url_path="password-link",
        icon="link",
        permissions=["change"],
        confirmed=True,
        dialog=confirm(
            "Make a password link?",
            "With it, the colleague sets a new password. It works once, and is shown only now.",
            "Make link",
            ReasonForm,
        ),
    )
    def new_password_link(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Show a link with which the colleague sets a new password, for example after forgetting it."""
        user = self._get_colleague(request, object_id)
        if not user.is_active:
            raise Deactivated("This colleague can't sign in. Activate the account first.")
        with recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            record_change(user, "password link", "", "made")
        return self._password_link(request, user, f"New password for {user.get_full_name() or user.username}")

    @action(
        description="Sign out everywhere",
        icon="logout",
        url_path="sign-out",
        permissions=["change"],
        dialog=confirm(
            "Sign this colleague out everywhere?",
            "All of their sessions end now. They can sign in again.",
            "Sign out",
            ReasonForm,
        ),
    )
    def sign_out_everywhere(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """End all sessions of the colleague, for example when a device was lost."""
        user = self._get_colleague(request, object_id)
        with recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            count = end_sessions(user)
            record(SignInKind.SESSIONS_ENDED, user, f"{count}, by {staff(request)}", request=request)
        return open_page(request, reverse("admin:auth_user_change", args=[user.pk]), "The colleague is signed out.")

    @action(
        description="Remove second factor",
        icon="phonelink_erase",
        url_path="remove-second-factor",
        permissions=["change"],
        confirmed=True,
        dialog=confirm(
            "Remove the second factor?",
            "For a colleague who lost their phone and recovery codes: make sure that it is really them who asks. Their"
            " authenticator app, passkeys and recovery codes stop working, and they are signed out.",
            "Remove second factor",
            ReasonForm,
        ),
    )
    def reset_second_factor(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Remove all second factors of the colleague, who sets up another if a role requires it."""
        user = self._get_colleague(request, object_id)
        with transaction.atomic(), recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            remove_factors(user, by=staff(request), request=request)
            end_sessions(user)
        return open_page(request, reverse("admin:auth_user_change", args=[user.pk]), "The second factor was removed.")

    def _get_colleague(self, request: HttpRequest, object_id: str) -> User:
        """Return the user, or raise PermissionDenied if they can do more than staff may."""
        user = get_object_or_404(User, pk=object_id)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        return user

    def _password_link(self, request: HttpRequest, user: User, title: str) -> HttpResponse:
        uid = urlsafe_base64_encode(force_bytes(user.pk))
        page = reverse("set_password", args=[uid, default_token_generator.make_token(user)])
        link = request.build_absolute_uri(page)
        return respond_once(
            request,
            self,
            "admin/config/password_link.html",
            title=title,
            secret=link,
            mail_url=invitation_url(user, link, self.admin_site.each_context(request)["site_subheader"]),
            colleague=user,
            list_url=reverse("admin:auth_user_changelist"),
        )


@admin.register(Group)
class GroupAdmin(ConfirmedForms, AuditedHistory, BaseGroupAdmin, BaseAdmin):  # type: ignore[misc]  # both refine Django's class
    """Roles: named sets of permissions for staff."""

    list_title = "Roles"
    list_display = ("name", "member_count")
    search_fields = ("name",)
    list_after_template = "admin/config/roles_table.html"
    change_form_outer_before_template = "admin/config/role_access.html"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the roles, and below them what each can view and change."""
        roles = list(Group.objects.prefetch_related("permissions__content_type").order_by("name"))
        table = {"roles": roles, "access": access_table(roles)}
        return super().changelist_view(request, table | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the role, what it can view and change, and its single permissions."""
        roles = Group.objects.filter(pk=object_id if object_id.isdecimal() else 0)
        access = [cells[0] for _, cells in access_table(roles) if cells]
        return super().change_view(request, object_id, form_url, {"access": access} | (extra_context or {}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(members=Count("user"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_grantable(request, obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_grantable(request, obj) and bool(super().has_delete_permission(request, obj))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, list[Any]]:
        """Keep roles of which the sign-in rules require a second factor: the rule would end without being named."""
        deleted, counts, lacking, kept = super().get_deleted_objects(objs, request)
        named = Group.objects.filter(pk__in=[role.pk for role in objs], signinrules__isnull=False).order_by("name")
        rules = [f"Sign-in rules: the role {role} requires a second factor. Remove it there first." for role in named]
        return deleted, counts, lacking, [*kept, *rules]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        if request is not None:
            kwargs["queryset"] = own_permissions(request).exclude(content_type__app_label__in=LIBRARIES)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="Staff", ordering="members")
    def member_count(self, group: Any) -> int:
        return int(group.members)
