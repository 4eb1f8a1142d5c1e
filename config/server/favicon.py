from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Send a browser, which asks for this on pages that name no icon, to the one we have."""
    return HttpResponseRedirect(static("config/favicon.svg"))
