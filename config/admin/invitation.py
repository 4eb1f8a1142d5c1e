"""The email with which staff send a colleague the link to set a password. Their own mail program sends it."""

from urllib.parse import quote, urlencode

from django.contrib.auth.models import User
from django.template.loader import render_to_string


def invitation_url(colleague: User, link: str, company: str) -> str:
    """Return the address that opens the email in the mail program of the reader, or "" without an address to send to.

    The link is a secret: it never passes through a server of ours again.
    """
    if not colleague.email:
        return ""
    context = {"colleague": colleague, "link": link, "company": company}
    text = render_to_string("admin/config/invitation.txt", context)
    fields = {"subject": f"Sign in to the billing of {company}", "body": text}
    return f"mailto:{quote(colleague.email, safe='@')}?{urlencode(fields, quote_via=quote)}"
