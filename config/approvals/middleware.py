"""Turn an action of an admin page that needs approval into a request for it."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from config.approvals.gate import Action, ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import open_page
from config.office.links import page_of
from config.refusals import Refused

REQUESTED = "Approval requested. Nothing is done until someone else approves it."


class ApprovalMiddleware:
    """Request the approval that an admin page's action needs, and open the request. The API has its own answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, ApprovalNeeded):
            return None
        try:
            approval = request_approval(exception, now=timezone.now())
        except Refused as refusal:  # someone else has requested it
            return open_page(request, _page_of(exception.action), str(refusal), level=messages.ERROR)
        can_see = request.user.has_perm("config.view_approval")
        address = approval.get_absolute_url() if can_see else _page_of(exception.action)
        return open_page(request, address, REQUESTED, level=messages.WARNING)


def _page_of(action: Action) -> str:
    return (page_of(action.objects[0]) if len(action.objects) == 1 else "") or reverse("admin:index")
