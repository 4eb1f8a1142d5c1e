"""The names of the page in the frame: breadcrumbs and the document's title, in the sidebar's words."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model

from config.admin.sidebar import page_of
from config.office.links import admin_url
from config.templatetags.countinghouse import as_title

register = template.Library()

NOUNS = {
    "auth.User": ("colleague", "colleagues"),
    "auth.Group": ("role", "roles"),
    "auditlog.LogEntry": ("entry", "entries"),
    "django_celery_beat.PeriodicTask": ("schedule", "schedules"),
}  # rows of tables of libraries, in the sidebar's words


@dataclass(frozen=True)
class Crumb:
    """A step on the way to the page. Without an address it isn't a link."""

    title: str
    url: str = ""


@register.simple_tag(takes_context=True)
def breadcrumbs(context: Any) -> list[Crumb]:
    """Return the section, the page of the sidebar, the object, its view; the last is the page itself."""
    opts, original = context.get("opts"), context.get("original") or context.get("object")
    page = page_of(context["request"].path)
    if page is None:
        crumbs = [Crumb(as_title(opts.verbose_name_plural), _list_url(opts))] if opts else []
    else:
        section, item = page
        crumbs = [Crumb(section.title)] if section.title not in ("", item.title) else []
        crumbs.append(Crumb(item.title, admin_url(item.url_name)))
    if opts and isinstance(original, Model) and not (crumbs and _is_named(crumbs[-1], str(original))):
        crumbs.append(Crumb(str(original), admin_url(f"{_name_of(original)}_change", original.pk)))
    title = _title_of(context)
    if title and not (crumbs and _is_named(crumbs[-1], title)):
        crumbs.append(Crumb(title))
    return crumbs or [Crumb("Countinghouse")]


@register.simple_tag(takes_context=True)
def document_title(context: Any) -> str:
    """Return the breadcrumbs without the section, the page itself first: "Acme GmbH · Customers · Countinghouse"."""
    *way, page = breadcrumbs(context)
    names = [*(crumb.title for crumb in way if crumb.url), page.title]
    return " · ".join([*reversed(names), str(context.get("site_title") or "Countinghouse")])


@register.simple_tag
def noun_of(changelist: ChangeList) -> str:
    """Return what the rows of a list are called: "invoice" for one, "invoices" otherwise."""
    return _nouns_of(changelist.opts)[changelist.result_count != 1]


def _nouns_of(opts: Any) -> tuple[str, str]:
    return NOUNS.get(opts.label) or (str(opts.verbose_name), str(opts.verbose_name_plural))


def _title_of(context: Any) -> str:
    """Return the page's own title; none where Django only repeats its name of the table."""
    is_list, is_form = isinstance(context.get("cl"), ChangeList), "adminform" in context
    if is_list or (is_form and context.get("original")):
        return ""
    if "changes" in context:
        return "History"
    if is_form and context.get("add"):
        return f"Add {_nouns_of(context['opts'])[0]}"
    return str(context.get("title") or "")


def _is_named(crumb: Crumb, title: str) -> bool:
    """Tell whether a further crumb would only repeat this one, as that of a table's only row does."""
    return crumb.title.casefold() == title.casefold()


def _list_url(opts: Any) -> str:
    return admin_url(f"{opts.app_label}_{opts.model_name}_changelist")


def _name_of(row: Model) -> str:
    return f"{row._meta.app_label}_{row._meta.model_name}"
