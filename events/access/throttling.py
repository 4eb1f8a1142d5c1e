"""The rate limit of API keys, as DRF's throttle."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.api.errors import TooManyRequests
from events.access import limits
from events.access.keys import Caller


class KeyThrottle(BaseThrottle):
    """Count each request against its API key's limit for the view's `limit` kind. A view without a key has no limit."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request. Raises TooManyRequests, with the headers that DRF's own answer lacks; counts nothing."""
        if not isinstance(request.auth, Caller):
            return True
        try:
            limits.spend(request.auth, limits.Kind(view.limit))
        except limits.RateLimited as reached:
            headers = {
                "X-RateLimit-Limit": str(reached.limit),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(reached.reset_at),
            }
            message = (
                f"This API key is limited to {reached.limit} {reached.kind} requests per minute. "
                "Wait for the number of seconds in Retry-After."
            )
            raise TooManyRequests(message, wait=reached.retry_after_s, headers=headers) from reached
        return True
