"""The late usage policy in the admin: one page, without a list."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import TabularInline

from billing.models import LateLimit, LatePolicy
from config.office.base import OfficeAdmin


class LateLimitInline(TabularInline):
    """Amounts below which differences aren't billed yet, one per currency."""

    model = LateLimit
    extra = 0
    tab = False
    show_title = False
    verbose_name = "limit"
    verbose_name_plural = "Minimum amounts"


@admin.register(LatePolicy)
class LatePolicyAdmin(OfficeAdmin):
    """The company's policy for late usage."""

    fieldsets = (
        (
            None,
            {
                "fields": ("more_due", "less_due"),
                "description": "Applies to differences calculated from now on. Existing adjustments don't change.",
            },
        ),
    )
    inlines = (LateLimitInline,)
    add_inlines = (LateLimitInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LatePolicy | None = None) -> bool:
        return False

    def parts_of(self, obj: LatePolicy) -> QuerySet[LateLimit]:
        return obj.limits.all()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LatePolicy | None:
        """Return the policy. Before it is saved, the form starts with the defaults."""
        return (LatePolicy.objects.first() or _make_unsaved()) if object_id == "1" else None

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the policy, or change it. It is saved before the first change, because limits refer to it."""
        if request.method == "POST" and self.has_change_permission(request):
            LatePolicy.objects.get_or_create(pk=1)
        return super().change_view(request, object_id, *args, **kwargs)  # type: ignore[no-any-return]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the policy's page."""
        return HttpResponseRedirect(reverse("admin:billing_latepolicy_change", args=[1]))


def _make_unsaved() -> LatePolicy:
    """Return a policy with the defaults that counts as saved: inlines take the key from a row that is being added."""
    policy = LatePolicy()
    policy._state.adding = False
    return policy
