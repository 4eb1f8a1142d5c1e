"""Headers by which browsers protect the admin's pages and the API's answers. django-csp writes the pages' policy."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Passkeys and the copy buttons are the only powerful features that the admin uses.
OWN_FEATURES = ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
NO_FEATURES = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "clipboard-read", "display-capture", "encrypted-media",
    "geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join([*(f"{name}=(self)" for name in OWN_FEATURES), *(f"{name}=()" for name in NO_FEATURES)])
# A browser that opens an answer of the API as a page loads and runs nothing.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class BrowserHeadersMiddleware:
    """Switch off browser features, keep other sites from embedding answers, and let JSON and files run nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        headers = response.headers
        headers["Permissions-Policy"] = PERMISSIONS_POLICY
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if headers.get("Content-Type", "").startswith(
            ("application/json", "text/csv", "text/plain", "application/zip")
        ):
            headers["Content-Security-Policy"] = DATA_POLICY
        elif headers.get("X-Frame-Options") == "SAMEORIGIN":  # a form that the admin shows inside another
            policy = headers.get("Content-Security-Policy", "")
            headers["Content-Security-Policy"] = policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
        return response
