"""Problems by cause, with the usage at risk, the fixes, and the dismissal of all problems of a cause."""

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from catalog.models import Feature
from config.numbers import number as format_number
from config.office.dialogs import ReasonForm, confirm, open_page, show_dialog, staff
from config.office.pages import clean_values
from config.office.wording import plural
from events.admin.pages.fixes import take_proof
from events.diagnosis.billing_facts import write_amounts
from events.fixing import PreviewBusy
from events.fixing.actions import cause_of
from events.fixing.at_risk import AtRisk, at_risk
from events.fixing.causes import cache_key, cause_parameters, cause_version, known_names, trouble_of
from events.fixing.offers import Offer, Trouble, nearly_named, offers_for
from events.fixing.runs import start_run
from events.ledger.causes import MAX_CAUSES, PROBLEMS_READ, Cause, open_causes
from events.ledger.voiding import dismiss
from events.models import MendingRun, Problem, ProblemState
from events.models.operations import MendingKind
from events.reasons import Reason
from events.tasks import enqueue_fixes

AT_ONCE = 20_000  # problems dismissed in the request; a worker dismisses more
RUNS_SHOWN = 5


class DismissForm(ReasonForm):
    """Ask for a reason, and load the amount that would never be billed."""

    form_before_template = "admin/events/problem/dismissed_amount.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        query = urlencode({**_cause_parameters(clean_values(request.GET)), "shown": "sentence"})
        return {"address": f"{reverse('admin:events_problem_at_risk')}?{query}"}


class CausesPages(ModelAdmin):
    """The pages of problems by cause, as a mixin for the admin of problems."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("causes/", view(self.causes_view), name="events_problem_causes"),
            path("causes/at-risk/", view(require_POST(self.at_risk_view)), name="events_problem_at_risk"),
            path("causes/dismiss/", view(self.dismiss_cause_view), name="events_problem_dismiss_cause"),
            *super().get_urls(),
        ]

    def has_fix_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user can replay and dismiss problems. No one edits them, so "change" permits this."""
        return request.user.has_perm("events.change_problem")

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Show the open problems grouped by cause, with the fixes for each."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        causes = open_causes()
        names = known_names() if any(cause.reason == Reason.UNKNOWN_EVENT_NAME for cause in causes) else []
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Problems",
            "causes": [row_context(cause, names, request) for cause in causes],
            "total": sum(cause.problems for cause in causes),
            "is_capped": any(cause.is_capped for cause in causes) or len(causes) >= MAX_CAUSES,
            "cap": causes[0].read_at_most if causes else PROBLEMS_READ,
            "can_fix": self.has_fix_permission(request),
            "runs": list(MendingRun.objects.filter(finished_at=None)[:RUNS_SHOWN]),
            "proof": take_proof(request),
        }
        return TemplateResponse(request, "admin/events/problem/causes.html", context)

    def at_risk_view(self, request: HttpRequest) -> HttpResponse:
        """Show the usage and amounts at risk for one cause. A row loads this when it becomes visible.

        For an unknown customer it also has the fixes that need a closer look. It is a POST, since it previews a fix.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        values = clean_values(request.GET)
        trouble = _named_trouble(values)
        likely_customer = nearly_named(trouble.external_id) if trouble.reason == Reason.UNKNOWN_CUSTOMER else None
        offers = offers_for(trouble, known_names=known_names(), meant=likely_customer)
        context: dict[str, Any] = {
            "row": values.get("row", ""),
            "address": f"{request.path}?{request.GET.urlencode()}",
            "more_url": _detail_url(offers, values, request),
            "fixes": _buttons(offers, request) if likely_customer else [],
        }
        try:
            key = cache_key({name: value for name, value in values.items() if name not in ("row", "shown")})
            risk = at_risk(trouble, offers, now=timezone.now(), key=key)
            context |= {
                "at_risk": risk,
                "sentence": _describe_risk(risk),
                "money": sorted((amount, currency) for currency, amount in risk.amounts.items()),
                "units": [(name, format_number(quantity), unit) for name, quantity, unit in risk.units],
            }
        except PreviewBusy:
            context["is_busy"] = True
        template = "at_risk_sentence" if values.get("shown") == "sentence" else "at_risk"
        return render(request, f"admin/events/problem/{template}.html", context)

    def dismiss_cause_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason, then close the problems of a cause without counting their events."""
        if not self.has_fix_permission(request):
            raise PermissionDenied
        values = clean_values(request.GET)
        ids = list(
            Problem.objects.filter(cause_of(values), state=ProblemState.OPEN)
            .order_by("pk")
            .values_list("pk", flat=True)[: AT_ONCE + 1]
        )
        form = DismissForm(data=request.POST or None, request=request)
        url = reverse("admin:events_problem_causes")
        if not form.is_valid():
            return _dismissal_dialog(request, len(ids), form)
        reason, now, by = form.cleaned_data["reason"], timezone.now(), staff(request)
        if len(ids) <= AT_ONCE:
            count = dismiss(ids, reason=reason, now=now, by=by)
            return open_page(request, url, f"{plural(count, 'problem')} dismissed.")
        title = (
            f"Dismiss “{Reason(values['cause']).label}” of {values.get('external_customer_id') or values['event_name']}"
        )
        run = start_run(
            MendingKind.DISMISS, "replay_cause", _cause_parameters(values), title=title, now=now, by=by, reason=reason
        )
        enqueue_fixes()
        return open_page(request, run.get_absolute_url(), "The problems are being dismissed in the background.")


def list_url(cause: Cause) -> str:
    """Return the address of the list of a cause's open problems."""
    return _list_url(cause_parameters(cause))


def _cause_parameters(values: dict[str, str]) -> dict[str, str]:
    return {name: values[name] for name in ("cause", "external_customer_id", "event_name", "feature") if name in values}


def _list_url(values: dict[str, str]) -> str:
    names = {"cause": "reason", "feature": "feature__id__exact"}
    query = {names.get(name, name): value for name, value in _cause_parameters(values).items()}
    return f"{reverse('admin:events_problem_changelist')}?{urlencode(query)}"


def _named_trouble(values: dict[str, str]) -> Trouble:
    """Return the cause that an address names. Raises PermissionDenied for values that no page links to."""
    if values.get("cause", "") not in Reason.values:
        raise PermissionDenied
    feature = values.get("feature", "")
    first = Problem.objects.filter(cause_of(values), state=ProblemState.OPEN).order_by("pk").first()
    return Trouble(
        Reason(values["cause"]),
        values.get("event_name", ""),
        values.get("external_customer_id", ""),
        Feature.objects.filter(pk=int(feature)).first() if feature.isdecimal() else None,
        first.occurred_at if first else None,
    )


def row_context(cause: Cause, names: list[str], request: HttpRequest) -> dict[str, Any]:
    """Return a cause with links to its problems and actions, and the fixes that the user can apply."""
    replay = Offer("Replay", "replay_cause", cause_parameters(cause))
    return {
        "cause": cause,
        "list_url": list_url(cause),
        "replay_url": replay.address(back="problems"),
        "dismiss_url": f"{reverse('admin:events_problem_dismiss_cause')}?{urlencode(cause_parameters(cause))}",
        "at_risk_url": f"{reverse('admin:events_problem_at_risk')}?{urlencode(cause_version(cause))}",
        "fixes": _buttons(offers_for(trouble_of(cause), known_names=names), request),
    }


def _buttons(offers: list[Offer], request: HttpRequest) -> list[dict[str, str]]:
    """Return the fixes that the user can apply, as buttons."""
    allowed = [offer for offer in offers if request.user.has_perms(offer.permissions)]
    return [{"label": offer.label, "url": offer.address(back="problems")} for offer in allowed]


def _detail_url(offers: list[Offer], values: dict[str, str], request: HttpRequest) -> str:
    """Link the usage at risk to the preview of the likeliest fix, or to the problems if the user can't apply it."""
    likeliest = next((offer for offer in offers if offer.action), None)
    if likeliest is None or not request.user.has_perms(likeliest.permissions):
        return _list_url(values)
    parameters = {"previewed": "1", **likeliest.assumed} if likeliest.assumed else {}
    return likeliest.address(back="problems", **parameters)


def _describe_risk(risk: AtRisk) -> str:
    """Describe in one sentence the usage that is lost by dismissing the problems, as far as it is known."""
    if risk.unknown:
        return ""
    plus = " or more" if risk.is_partial else ""
    units = ", ".join(f"{format_number(quantity)} {unit} of {name}" for name, quantity, unit in risk.units)
    money = f"{write_amounts(risk.amounts)}{plus}" if risk.amounts else "no amount currently"
    return f"If fixed, they would amount to {money}{f' ({units})' if units else ''}."


def _dismissal_dialog(request: HttpRequest, problems: int, form: Any) -> HttpResponse:
    count = f"more than {AT_ONCE:,} problems" if problems > AT_ONCE else plural(problems, "problem")
    text = (
        f"The events of {count} will not be counted, and leave this list. This can't be undone. The events stay in the"
        " ledger."
    )
    dialog = confirm("Dismiss these problems?", text, "Dismiss")
    return show_dialog(request, dialog, form, cancel_url=reverse("admin:events_problem_causes"))
