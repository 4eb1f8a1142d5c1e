from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the icon. Browsers request /favicon.ico on pages without an icon link."""
    return HttpResponseRedirect(static("config/favicon.svg"))
