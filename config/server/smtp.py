"""Django's SMTP backend, which also remembers the recipients that the server refused while it took the others."""

import smtplib
from typing import Any

from django.core.mail.backends import smtp


class _Remembering:
    refused: dict[str, tuple[int, bytes]]

    def sendmail(self, *args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
        self.refused = super().sendmail(*args, **kwargs)  # type: ignore[misc]
        return self.refused


class _Smtp(_Remembering, smtplib.SMTP):
    """A connection that remembers refused recipients."""


class _SmtpOverTls(_Remembering, smtplib.SMTP_SSL):
    """The same over TLS."""


class EmailBackend(smtp.EmailBackend):
    """Send by SMTP. `refused_recipients` are those of the last email that the server refused, with its answers."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _SmtpOverTls if self.use_ssl else _Smtp

    @property
    def refused_recipients(self) -> dict[str, tuple[int, bytes]]:
        return getattr(self.connection, "refused", {})
